"""People and their enrolled images, in SQLite: whatever a call has returned survives a crash, whole."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from facelatch.gallery import embeddings, rows, saving, wiping
from facelatch.gallery.access import EVERYBODY
from facelatch.gallery.export import StoredPerson, pack, refuse_named
from facelatch.gallery.fleet_schema import HELD
from facelatch.gallery.place import Ownership, explained, prepare_directory, volatile_file_system
from facelatch.gallery.saving import Terms
from facelatch.gallery.schema import memory_database, open_database
from facelatch.gallery.seal import Tables, Unsealed, atomic
from facelatch.gallery.stack import Stack
from facelatch.gallery.wiping import Wiping
from facelatch.values.pictures import Pose
from facelatch.values.records import Gallery, NewPerson, Person, PersonRecord, Reference, Throttle
from facelatch.vision.references import Embed

FILE_NAME = "gallery.db"
LOCK_NAME = "gallery.lock"


class GalleryStore:
    """The gallery of one state directory, held exclusively until `close`. For one thread."""

    def __init__(self, path: Path, ownership: Ownership | None, connection: Tables) -> None:
        self._path, self._ownership, self._connection = path, ownership, connection
        self.reembedded = 0
        """How many embeddings the last `load` had to make."""
        self.volatile = volatile_file_system(path.parent) if ownership is not None else None
        """The type of a file system that may forget at the next start what is written now; None: it keeps it."""
        self.wiped_now = False
        """Whether the last change, the opening or the last `wipe` cleared the files of somebody removed."""
        self._stack = Stack(connection, path)
        self._wiping = Wiping(path, connection) if ownership is not None else None

    @classmethod
    def open(cls, directory: Path, keys: Sequence[bytes] = ()) -> Self:
        """Opens the gallery in `directory`, made when missing, sealed when there are `keys` (`sealing.adopt`).

        Raises AlreadyRunningError when another process has it. Raises GalleryError, each cause with its own
        message: directory of another user, read-only, disk full, locked, damaged, of a newer schema.
        """
        prepare_directory(directory)
        ownership = Ownership(directory / LOCK_NAME)
        path = directory / FILE_NAME
        try:
            with explained(path):
                store = cls(path, ownership, open_database(path, keys))
        except BaseException:
            ownership.release()
            raise
        store.wipe_if_short()
        return store

    @classmethod
    def in_memory(cls) -> Self:
        """An empty gallery that is thrown away: in no file, so that not even a process that is killed leaves faces."""
        return cls(Path(":memory:"), None, memory_database())

    def close(self) -> None:
        """Closes the file and lets others have it; never raises, and may be called twice."""
        with suppress(sqlite3.Error):
            # What was reported saved is in the log, should the last tidying up fail.
            self._connection.close()
        if self._wiping is not None:
            self._wiping.close()
        if self._ownership is not None:
            self._ownership.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Reading

    @property
    def seal(self) -> Unsealed:
        """What the rows are sealed by, and from what keys for other things are derived."""
        return self._connection.seal

    @property
    def wipe_due(self) -> bool:
        """Whether a removed person left traces in the files; the next opening tries again. Raises GalleryError."""
        with explained(self._path):
            return wiping.is_due(self._connection)

    @property
    def traces(self) -> str:
        """Why traces of people who were removed stay there; empty when none are, or when they are still being wiped.

        Raises GalleryError.
        """
        if self.volatile is not None:
            return f"{self.volatile} may forget at the next start what was overwritten"
        return "the files could not be overwritten" if self.wipe_failed and self.wipe_due else ""

    def people(self, *, after: int = 0, most: int = -1) -> list[PersonRecord]:
        """Everybody enrolled whose id is over `after`, by id; at most `most`, where that is not negative.

        Raises GalleryError.
        """
        with explained(self._path):
            return rows.records(self._connection, after, most)

    def show(self, name: str) -> tuple[PersonRecord, list[Pose]]:
        """One person and the pose of each reference image. Raises InputError when unknown, GalleryError."""
        with explained(self._path):
            person = rows.find(self._connection, name)
            (record,) = self.people(after=person.id - 1, most=1)
            return record, [reference.pose for reference in rows.stored_references(self._connection, person)]

    def find(self, name: str) -> Person:
        """The person of this name. Raises InputError with the nearest name there is, GalleryError."""
        with explained(self._path):
            return rows.find(self._connection, name)

    def free_name(self, name: str, *, knowingly: bool = False) -> str:
        """`name` as it would be stored. Raises InputError: no name, taken, or (unless `knowingly`) alike to one."""
        with explained(self._path):
            return rows.free_name(self._connection, name, knowingly=knowingly)

    def load(self, model_sha256: str, embed: Embed, size: int | None = None) -> Gallery:
        """Everybody as the matcher needs them, in the embeddings of one model.

        Embeddings missing for this model are made by `embed` from the stored crops and saved some at a time,
        so that a long work goes on where it was cut off; those made otherwise are dropped. `embeddings` is (0, 0)
        when nobody is enrolled. Raises GalleryError, also for crops of another alignment version, and for embeddings
        that cannot be the model's, whose length is `size`.
        """
        with explained(self._path):
            embeddings.refuse_other_alignment(self._connection, self._path)
            missing = embeddings.to_be_made(self._connection, model_sha256)
        self.reembedded = len(missing)
        for start in range(0, len(missing), embeddings.BATCH):
            batch = missing[start : start + embeddings.BATCH]
            with self.transaction() as connection:
                made = embeddings.complete(connection, self._path, model_sha256, embed, batch)
            self._stack.remember(made)
        return self.loaded(model_sha256, size)

    def remember(self, made: Mapping[int, NDArray[np.float32]]) -> None:
        """Keeps embeddings (D,) that were just saved of reference images, by their ids, to be had without reading."""
        self._stack.remember(dict(made))

    def loaded(self, model_sha256: str, size: int | None = None) -> Gallery:
        """Everybody who is not held and whose images are all embedded; `size` as for `load`. Raises GalleryError."""
        gallery = self.everybody(model_sha256, size)
        with explained(self._path):
            held = {id_ for (id_,) in self._connection.execute(HELD)}
        return gallery.only(gallery.people.keys() - held) if held else gallery

    def everybody(self, model_sha256: str, size: int | None = None) -> Gallery:
        """The same with people of the fleet who are held. Raises GalleryError."""
        with explained(self._path):
            owners, stacked = self._stack.arranged(model_sha256)
            embeddings.refuse_other_length(self._path, stacked, size)
            records = self.people()
        people = {record.person.id: record.person for record in records}
        access = {record.person.id: record.access for record in records if record.access != EVERYBODY}
        return Gallery(people=people, owners=owners, embeddings=stacked, access=access)

    def throttle(self) -> Throttle:
        """The memory of refused attempts as last saved. Raises GalleryError."""
        with explained(self._path):
            return Throttle(*self._connection.execute("SELECT refusals, lockout_seconds FROM state").fetchone())

    def export(self, names: Sequence[str] | None = None) -> bytes:
        """The export file with the named people, or with everybody. Raises InputError, GalleryError."""
        return pack(person for _, person in self.stored(names))

    def stored(
        self, names: Sequence[str] | None = None, *, after: int = 0
    ) -> Iterator[tuple[int, StoredPerson]]:
        """The named people, or everybody, whose id is over `after`: id and what is exported, one by one, by id.

        Without those who were enrolled at other doors of the fleet: there are no pictures of them here.
        Raises InputError, GalleryError. The gallery must not change before the last has come.
        """
        with explained(self._path):
            embeddings.refuse_other_alignment(self._connection, self._path)
            wanted = None if names is None else {rows.find(self._connection, name).id for name in names}
            while chosen := self.people(after=after, most=1):
                person, access = chosen[0].person, chosen[0].access
                after = person.id
                if chosen[0].without_pictures:  # the fleet brings them back
                    refuse_named(person, wanted)
                elif wanted is None or after in wanted:
                    references = rows.stored_references(self._connection, person)
                    yield person.id, StoredPerson(person.name, person.admin, references, access)

    @property
    def generation(self) -> tuple[str, int]:
        """Which sealed gallery this is, and how many changes it has seen; nothing and 0 where it is not sealed."""
        bound = self._connection.binding
        return (bound.identity.hex(), bound.generation) if bound is not None else ("", 0)

    # Changing

    def add(self, person: NewPerson, model_sha256: str, *, knowingly: bool = False) -> Person:
        """Saves a finished enrolment, all of it or nothing; without a name it gets the next `person-NNN`.

        The embeddings of its references are those of both sides (`vision.references`). `knowingly` allows a name that
        looks like somebody's. Raises InputError: name taken or no name, no references or too many. Raises GalleryError.
        """
        with self.transaction() as connection:
            return saving.insert(connection, person, Terms(embeddings.maker(model_sha256), knowingly=knowingly))

    def change_references(
        self, person: Person, references: Sequence[Reference], model_sha256: str, *, replace: bool
    ) -> int:
        """Adds to somebody's references, or puts these in place of all; how many there are then.

        Id, name and rights stay. Raises InputError: the person is not there any more, none, or too many references.
        Raises GalleryError.
        """
        with self.transaction() as connection:
            made_by = embeddings.maker(model_sha256)
            count = saving.change_references(connection, person, references, made_by, replace=replace)
        self.wipe_if_short()
        return count

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
        self.wipe_if_short()
        return person

    def restore(self, people: Iterable[StoredPerson]) -> None:
        """Takes people in as they are, whoever they are: for a copy that is thrown away.

        The embeddings are made by the next `load`. Raises InputError, GalleryError.
        """
        with self.transaction() as connection:
            for person in people:
                saved = rows.insert_person(connection, person.name, person.admin, person.access)
                for reference in person.references:
                    rows.insert_reference(connection, saved, reference)

    def wipe(self, may_go_on: Callable[[], bool] = lambda: True) -> bool:
        """Clears the files of whoever was removed, where that is due, as long as `may_go_on()`; whether it is done now.

        Otherwise, and where it fails, the door still has to work: `wipe_due` stays for the next time.
        """
        self.wiped_now = self._wiping is not None and self.wipe_due and self._wiping.step(may_go_on)
        return self.wiped_now

    @property
    def wipe_failed(self) -> bool:
        """Whether the last step of a wipe could not be done."""
        return self._wiping is not None and self._wiping.failed

    def save_throttle(self, throttle: Throttle) -> None:
        """Saves the memory of refused attempts. Raises GalleryError."""
        with self.transaction() as connection:
            values = (throttle.refusals, throttle.lockout_seconds)
            connection.execute("UPDATE state SET refusals = ?, lockout_seconds = ?", values)

    # Steps

    @contextmanager
    def transaction(self) -> Iterator[Tables]:
        """Everything inside is saved when the block ends, or nothing when it raises."""
        with explained(self._path), atomic(self._connection):
            yield self._connection

    def wipe_if_short(self) -> None:
        """Wipes at once where that takes a moment only, and leaves it to `wipe` where it takes longer."""
        self.wiped_now = False
        if self._wiping is not None and self._wiping.restart():
            self.wipe()
