"""People and their enrolled images, in SQLite: whatever a call has returned survives a crash, whole."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from facelatch.errors import GalleryError, InputError
from facelatch.gallery import embeddings, rows
from facelatch.gallery.clash import Clash, Imported, cleared_name
from facelatch.gallery.export import MAX_REFERENCES, StoredPerson, StoredReference, pack, unpack
from facelatch.gallery.place import Ownership, explained, prepare_directory
from facelatch.gallery.schema import open_database
from facelatch.gallery.stack import Stack
from facelatch.gallery.wiping import EMPTY_LOG, Wiping
from facelatch.values.pictures import Pose
from facelatch.values.records import Gallery, NewPerson, Person, Throttle
from facelatch.vision.png import encode_png
from facelatch.vision.references import Embed, with_other_side

FILE_NAME = "gallery.db"
LOCK_NAME = "gallery.lock"

WIPED_AT_ONCE_BYTES = 16 * 1024 * 1024
"""A gallery of some 80 people."""


@dataclass(frozen=True, slots=True)
class PersonRecord:
    """A person as `people list` shows them."""

    person: Person
    references: int
    created: str
    """UTC, ISO 8601, by the wall clock of that moment; for people to read, nothing is decided by it."""


class GalleryStore:
    """The gallery of one state directory, held exclusively until `close`. For one thread."""

    def __init__(self, path: Path, ownership: Ownership, connection: sqlite3.Connection) -> None:
        self._path, self._ownership, self._connection = path, ownership, connection
        self.reembedded = 0
        """How many embeddings the last `load` had to make."""
        self.wipe_due = False
        """Whether traces of a removed person are still in the files, for `wipe`."""
        self._wiping, self._stack = Wiping(path, connection), Stack(connection, path)

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Opens the gallery in `directory`, made when missing.

        Raises AlreadyRunningError when another process has it. Raises GalleryError, each cause with its own
        message: directory of another user, read-only, disk full, locked, damaged, of a newer schema.
        """
        prepare_directory(directory)
        ownership = Ownership(directory / LOCK_NAME)
        path = directory / FILE_NAME
        try:
            with explained(path):
                store = cls(path, ownership, open_database(path))
        except BaseException:
            ownership.release()
            raise
        store._wipe_if_small()
        return store

    def close(self) -> None:
        """Closes the file and lets others have it; never raises, and may be called twice."""
        with suppress(sqlite3.Error):
            # What was reported saved is in the log, should the last tidying up fail.
            self._connection.close()
        self._wiping.close()
        self._ownership.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Reading

    def people(self, *, after: int = 0, most: int = -1) -> list[PersonRecord]:
        """Everybody enrolled whose id is over `after`, by id, at most `most` where that is not negative.

        Raises GalleryError.
        """
        with explained(self._path):
            found = self._connection.execute(
                "SELECT id, name, admin, created,"
                " (SELECT count(*) FROM reference_images WHERE person_id = people.id)"
                " FROM people WHERE staged IS NULL AND id > ? ORDER BY id LIMIT ?",
                (after, most),
            )
            return [
                PersonRecord(Person(id_, name, bool(admin)), n, created)
                for id_, name, admin, created, n in found
            ]

    def show(self, name: str) -> tuple[PersonRecord, list[Pose]]:
        """One person and the pose of each reference image. Raises InputError when unknown, GalleryError."""
        with explained(self._path):
            person = rows.find(self._connection, name)
            (record,) = self.people(after=person.id - 1, most=1)
            return record, [reference.pose for reference in rows.stored_references(self._connection, person)]

    def load(self, model_sha256: str, embed: Embed) -> Gallery:
        """Everybody as the matcher needs them, in the embeddings of one model.

        Embeddings missing for this model are made by `embed` from the stored crops and saved some at a time,
        so that a long work goes on where it was cut off; those made otherwise are dropped. `embeddings` is (0, 0)
        when nobody is enrolled. Raises GalleryError, also for crops of another alignment version.
        """
        with explained(self._path):
            embeddings.refuse_other_alignment(self._connection, self._path)
        missing = self.missing(model_sha256)
        self.reembedded = len(missing)
        for start in range(0, len(missing), embeddings.BATCH):
            self.embed(missing[start : start + embeddings.BATCH], model_sha256, embed)
        return self.loaded(model_sha256)

    def missing(self, model_sha256: str) -> list[int]:
        """The ids of the reference images that `embed` has still to be asked for. Raises GalleryError."""
        with explained(self._path):
            return embeddings.missing(self._connection, model_sha256)

    def embed(self, ids: Iterable[int], model_sha256: str, embed: Embed) -> None:
        """Makes and saves the embeddings of some images, for a caller who has other things to do in between.

        Raises GalleryError.
        """
        with self.transaction() as connection:
            made = embeddings.complete(connection, self._path, model_sha256, embed, ids)
        self._stack.note(made)

    def loaded(self, model_sha256: str) -> Gallery:
        """Everybody, with the embeddings of those whose images are all embedded. Raises GalleryError."""
        with explained(self._path):
            owners, stacked = self._stack.arranged(model_sha256)
            people = {record.person.id: record.person for record in self.people()}
        return Gallery(people=people, owners=owners, embeddings=stacked)

    def throttle(self) -> Throttle:
        """The memory of refused attempts as last saved. Raises GalleryError."""
        with explained(self._path):
            return Throttle(
                *self._connection.execute("SELECT refusals, lockout_seconds FROM state").fetchone()
            )

    def export(self, names: Sequence[str] | None = None) -> bytes:
        """The export file with the named people, or with everybody. Raises InputError, GalleryError."""
        return pack(person for _, person in self.stored(names))

    def stored(
        self, names: Sequence[str] | None = None, *, after: int = 0
    ) -> Iterator[tuple[int, StoredPerson]]:
        """The named people, or everybody, whose id is over `after`: id and what is exported, one by one, by id.

        Raises InputError, GalleryError. The gallery must not change before the last has come.
        """
        with explained(self._path):
            embeddings.refuse_other_alignment(self._connection, self._path)
            wanted = None if names is None else {rows.find(self._connection, name).id for name in names}
            while chosen := self.people(after=after, most=1):
                person = chosen[0].person
                after = person.id
                if wanted is None or after in wanted:
                    references = rows.stored_references(self._connection, person)
                    yield person.id, StoredPerson(person.name, person.admin, references)

    # Changing

    def add(self, person: NewPerson, model_sha256: str, embed: Embed) -> Person:
        """Saves a finished enrolment, all of it or nothing; without a name it gets the next `person-NNN`.

        What the model makes of the other side of each crop is asked of `embed`.

        Raises InputError: name taken or no name, no references or too many. Raises GalleryError, and what `embed` does.
        """
        if not 1 <= len(person.references) <= MAX_REFERENCES:
            raise InputError(
                f"a person has 1 to {MAX_REFERENCES} reference images, got {len(person.references)}"
            )
        made_by = embeddings.maker(model_sha256)
        images = [StoredReference(encode_png(one.crop), one.pose) for one in person.references]
        vectors = [with_other_side(embed, one.crop, one.embedding) for one in person.references]
        with self.transaction() as connection:
            given = person.name
            name = rows.next_free_name(connection) if given is None else rows.free_name(connection, given)
            saved = rows.insert_person(connection, name, person.admin)
            for image, vector in zip(images, vectors, strict=True):
                id_ = rows.insert_reference(connection, saved, image)
                rows.insert_embedding(connection, id_, made_by, vector)
        return saved

    def add_stored(self, person: StoredPerson) -> Person:
        """Saves somebody enrolled from pictures, all or nothing; the embeddings are made by the next `load`.

        Raises InputError: name taken or no name. Raises GalleryError.
        """
        with self.transaction() as connection:
            return self._insert(connection, rows.free_name(connection, person.name), person)

    def rename(self, name: str, new_name: str) -> Person:
        """Gives a person another name. Raises InputError: unknown, taken or no name. Raises GalleryError."""
        with self.transaction() as connection:
            person = rows.find(connection, name)
            return rows.rename(connection, person, rows.free_name(connection, new_name, except_for=person.id))

    def set_admin(self, name: str, admin: bool) -> Person:
        """Says whether this person's face may authorise an enrolment. Raises InputError, GalleryError."""
        with self.transaction() as connection:
            return rows.set_admin(connection, rows.find(connection, name), admin)

    def remove(self, name: str) -> Person:
        """Removes a person and, in a small gallery, wipes every trace from the files.

        Raises InputError when the name is unknown, GalleryError. Where the wiping takes long or fails, the person is
        gone all the same; `wipe_due` then holds, and it is for `wipe`.
        """
        with self.transaction() as connection:
            person = rows.find(connection, name)
            rows.delete_person(connection, person)
        self._wipe_if_small()
        return person

    def import_from(self, data: bytes, clash: Clash = Clash.REFUSE) -> Imported:
        """Adds the people of an export file, as `import_people` does. Raises InputError for an unusable file."""
        return self.import_people(unpack(data), clash)

    def import_people(self, newcomers: Iterable[StoredPerson], clash: Clash = Clash.REFUSE) -> Imported:
        """Adds people, all or none. Their embeddings are made by the next `load`.

        Raises InputError: too many or, with Clash.REFUSE, a name that is taken. Raises GalleryError, and what
        `newcomers` raises.
        """
        added, replaced = [], []
        with self.transaction() as connection:
            for newcomer in newcomers:
                name, gone = cleared_name(connection, newcomer.name, clash)
                replaced += gone
                added.append(self._insert(connection, name, newcomer))
        self._wipe_if_small()
        return Imported(tuple(added), tuple(replaced))

    def wipe(self, may_go_on: Callable[[], bool] = lambda: True) -> None:
        """Clears the files of whoever was removed, where that is due, as long as `may_go_on()`.

        Where it is not done afterwards, or fails, the door still has to work: `wipe_due` stays for the next time.
        """
        with suppress(GalleryError), explained(self._path):
            if self.wipe_due and self._wiping.step(may_go_on):
                self._connection.execute("UPDATE state SET wipe_due = 0")
                self._connection.execute(EMPTY_LOG)
                self.wipe_due = False

    def save_throttle(self, throttle: Throttle) -> None:
        """Saves the memory of refused attempts. Raises GalleryError."""
        with self.transaction() as connection:
            connection.execute(
                "UPDATE state SET refusals = ?, lockout_seconds = ?",
                (throttle.refusals, throttle.lockout_seconds),
            )

    # Steps

    @staticmethod
    def _insert(connection: sqlite3.Connection, name: str, person: StoredPerson) -> Person:
        rows.refuse_overfull(connection, 1, len(person.references))
        saved = rows.insert_person(connection, name, person.admin)
        for reference in person.references:
            rows.insert_reference(connection, saved, reference)
        return saved

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything inside is saved when the block ends, or nothing when it raises."""
        with explained(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # A full disk makes SQLite roll back by itself.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _wipe_if_small(self) -> None:
        """Wipes at once where that takes a moment only, and leaves it to `wipe` where it takes longer."""
        with suppress(GalleryError), explained(self._path):
            self.wipe_due = self._connection.execute("SELECT wipe_due FROM state").fetchone() == (1,)
            self._wiping.restart()
            if self._path.stat().st_size <= WIPED_AT_ONCE_BYTES:
                self.wipe()
