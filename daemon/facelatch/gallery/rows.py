"""Single steps on the tables of the gallery, inside a transaction of the caller."""

from __future__ import annotations

from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from facelatch.errors import InputError
from facelatch.gallery.access import ACCESS_COLUMNS, EVERYBODY, access_of, set_access
from facelatch.gallery.export import MAX_ALL_REFERENCES, MAX_PEOPLE, StoredReference
from facelatch.gallery.names import MAX_LENGTH, clean_name, name_key, skeletons
from facelatch.gallery.seal import Tables
from facelatch.values.hours import Access
from facelatch.values.pictures import Pose
from facelatch.values.records import Person, PersonRecord
from facelatch.vision.align import ALIGN_VERSION

VECTOR = np.dtype("<f4")
"""How an embedding is stored."""

EMBEDDING = "embeddings"
"""What an embedding is sealed as."""


def person_of(connection: Tables, row: tuple[int, str, int]) -> Person:
    """The person of a row (id, name, admin) as it is stored. Raises GalleryError when the name was altered or moved."""
    id_, name, admin = row
    # The right is part of what is sealed: nobody becomes admin by one changed bit.
    return Person(id_, connection.seal.open_text(name, "names", id_, id_, admin), bool(admin))


def _stored_name(connection: Tables, person: Person) -> str:
    return connection.seal.close_text(person.name, "names", person.id, person.id, int(person.admin))


def holder(connection: Tables, name: str) -> Person | None:
    """Whoever has this name, in whatever case."""
    row = connection.execute(
        "SELECT id, name, admin FROM people WHERE name_key = ?", (connection.seal.index(name_key(name)),)
    ).fetchone()
    return person_of(connection, row) if row else None


def alike(connection: Tables, name: str) -> list[Person]:
    """Everybody whose name looks like this one, whoever has it among them; by id."""
    wanted = [connection.seal.index(skeleton) for skeleton in sorted(skeletons(name))]
    rows = connection.execute(
        "SELECT id, name, admin FROM people WHERE id IN (SELECT person_id FROM name_skeletons"
        f" WHERE skeleton IN ({','.join('?' * len(wanted))})) ORDER BY id",
        wanted,
    )
    return [person_of(connection, row) for row in rows]


def find(connection: Tables, name: str) -> Person:
    """The person of this name, or the only one whose name looks like it.

    Raises InputError with the nearest name there is.
    """
    wanted = clean_name(name)
    if found := holder(connection, wanted):
        return found
    similar = alike(connection, wanted)
    if len(similar) == 1:
        return similar[0]
    rows = connection.execute("SELECT id, name, admin FROM people WHERE staged IS NULL")
    known = [person_of(connection, row).name for row in rows]
    close = get_close_matches(wanted, known, n=1)
    guess = f"did you mean {close[0]!r}? " if close else ""
    raise InputError(f"nobody is called {wanted!r}", hint=f"{guess}`facelatch people list` shows all names")


def free_name(
    connection: Tables, name: str, *, except_for: int | None = None, knowingly: bool = False
) -> str:
    """`name` cleaned.

    Raises InputError when it is no name, when somebody other than `except_for` has it, and when somebody's looks like
    it, unless that is wanted `knowingly`.
    """
    wanted = clean_name(name)
    other = holder(connection, wanted)
    if other and other.id != except_for:
        raise taken(wanted, other.name)
    similar = [one for one in alike(connection, wanted) if one.id != except_for]
    if similar and not knowingly:
        raise InputError(
            f"the name {wanted!r} looks like {similar[0].name!r}, which is taken: {wanted!a}, {similar[0].name!a}",
            hint="choose a name that nobody takes for another one",
        )
    return wanted


def taken(name: str, holder_name: str) -> InputError:
    """The error about a name that somebody has."""
    return InputError(
        f"the name {name!r} is taken by {holder_name!r}",
        hint="choose another name; upper and lower case make no difference",
    )


def next_free_name(connection: Tables) -> str:
    """The next `person-NNN` that nobody has, and that nobody got from here before."""
    (number,) = connection.execute("SELECT last_number + 1 FROM state").fetchone()
    while alike(connection, f"person-{number:03}"):
        number += 1
    connection.execute("UPDATE state SET last_number = ?", (number,))
    return f"person-{number:03}"


def numbered_name(connection: Tables, name: str) -> str:
    """The first free one of `name 2`, `name 3`..., shortened where it would be too long."""
    number = 2
    while alike(connection, candidate := f"{name[: MAX_LENGTH - len(f' {number}')]} {number}"):
        number += 1
    return candidate


def refuse_overfull(connection: Tables, people: int, references: int) -> None:
    """Raises InputError where so many more are too many, those of an unfinished import counted."""
    for what, table, more, limit in (
        ("people", "people", people, MAX_PEOPLE),
        ("images", "reference_images", references, MAX_ALL_REFERENCES),
    ):
        (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        if count + more > limit:
            raise InputError(
                f"{count} {what} are in the gallery, {more} more would be over the limit of {limit}",
                hint="remove people who no longer come",
            )


def records(connection: Tables, after: int, most: int) -> list[PersonRecord]:
    """Everybody enrolled whose id is over `after`, by id; at most `most`, where that is not negative."""
    access_columns = ACCESS_COLUMNS.replace("suspended", "people.suspended")
    found = connection.execute(
        "SELECT id, name, admin, created, (SELECT count(*) FROM reference_images WHERE person_id = people.id),"
        " CASE own WHEN 1 THEN 'here' WHEN 0 THEN 'elsewhere' ELSE '' END, coalesce(held, ''),"
        f" {access_columns}, pin_hash IS NOT NULL, card_hash IS NOT NULL"
        " FROM people LEFT JOIN credentials ON credentials.person_id = id"
        " LEFT JOIN fleet_people ON fleet_people.person_id = id"
        " WHERE staged IS NULL AND id > ? ORDER BY id LIMIT ?",
        (after, most),
    )
    return [
        PersonRecord(person_of(connection, (id_, name, admin)), count, created, access_of(*access), fleet, held)
        for id_, name, admin, created, count, fleet, held, *access in found
    ]


def insert_person(connection: Tables, name: str, admin: bool, access: Access = EVERYBODY) -> Person:
    """A new person under a name known to be free."""
    person = Person(next_id(connection), name, admin)
    connection.execute(
        "INSERT INTO people (id, name, name_key, admin) VALUES (?, ?, ?, ?)",
        (person.id, _stored_name(connection, person), connection.seal.index(name_key(name)), admin),
    )
    note_skeletons(connection, person.id, name)
    set_access(connection, person.id, access)
    return person


def insert_waiting(connection: Tables, name: str, admin: bool, token: str) -> Person:
    """A newcomer of the import `token`, whom nobody knows yet. Raises InputError when that import has the name."""
    person = Person(next_id(connection), name, admin)
    # Under a key that no name has, because it has a slash; the real one may still be somebody else's.
    cursor = connection.execute(
        "INSERT INTO people (id, name, name_key, admin, staged) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (name_key) DO NOTHING",
        (
            person.id,
            _stored_name(connection, person),
            f"{token}/{connection.seal.index(name_key(name))}",
            admin,
            token,
        ),
    )
    if cursor.rowcount == 0:
        raise taken(name, name)
    return person


def next_id(connection: Tables) -> int:
    """The id of the next person, as it is sealed with the name: one that nobody ever had."""
    (number,) = connection.execute(
        "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'people'), 0) + 1"
    ).fetchone()
    return int(number)


def note_skeletons(connection: Tables, person_id: int, name: str) -> None:
    """Keeps what a name looks like beside it, in place of what was kept for that person."""
    connection.execute("DELETE FROM name_skeletons WHERE person_id = ?", (person_id,))
    connection.executemany(
        "INSERT INTO name_skeletons (person_id, skeleton) VALUES (?, ?)",
        [(person_id, connection.seal.index(skeleton)) for skeleton in sorted(skeletons(name))],
    )


def insert_reference(connection: Tables, person: Person, reference: StoredReference, *, after: int = 0) -> int:
    """One more reference image of `person`; its id, over `after` as over that of every image that is there."""
    pose = reference.pose
    (id_,) = connection.execute("SELECT max(coalesce(max(id), 0), ?) + 1 FROM reference_images", (after,)).fetchone()
    crop = connection.seal.close(reference.crop_png, "crops", id_, person.id)
    connection.execute(
        "INSERT INTO reference_images (id, person_id, align_version, yaw, pitch, roll, crop_png)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (id_, person.id, ALIGN_VERSION, float(pose.yaw), float(pose.pitch), float(pose.roll), crop),
    )
    return int(id_)


def insert_embedding(
    connection: Tables, reference_id: int, person_id: int, made_by: str, embedding: NDArray[np.float32]
) -> None:
    """What was made of one reference image of a person; replaces what was made of it otherwise."""
    vector = np.ascontiguousarray(embedding, dtype=VECTOR).tobytes()
    vector = connection.seal.close(vector, EMBEDDING, reference_id, person_id, made_by)
    connection.execute(
        "INSERT OR REPLACE INTO embeddings (reference_id, made_by, vector) VALUES (?, ?, ?)",
        (reference_id, made_by, vector),
    )


def stored_references(connection: Tables, person: Person) -> tuple[StoredReference, ...]:
    """The reference images of `person` as they were kept."""
    rows = connection.execute(
        "SELECT id, crop_png, yaw, pitch, roll FROM reference_images WHERE person_id = ? ORDER BY id",
        (person.id,),
    )
    return tuple(
        StoredReference(connection.seal.open(crop, "crops", id_, person.id), Pose(yaw, pitch, roll))
        for id_, crop, yaw, pitch, roll in rows
    )


def vectors(connection: Tables, person: Person) -> list[bytes]:
    """The embedding of each reference image of `person` as it was made; empty where there is none."""
    found = connection.execute(
        "SELECT reference_images.id, made_by, vector FROM reference_images"
        " LEFT JOIN embeddings ON reference_id = reference_images.id WHERE person_id = ? ORDER BY reference_images.id",
        (person.id,),
    )
    return [
        connection.seal.open(vector, EMBEDDING, id_, person.id, made_by) if vector is not None else b""
        for id_, made_by, vector in found
    ]


def delete_references(connection: Tables, person: Person) -> int:
    """Deletes images and embeddings of a person who stays, and notes that the file has to be wiped.

    Returns the highest id so far: what comes in their place has to have higher ones. With the same ids the sealed
    pieces of before, from an old copy, would fit where the new ones are.
    """
    (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM reference_images").fetchone()
    connection.execute("DELETE FROM reference_images WHERE person_id = ?", (person.id,))
    connection.execute("UPDATE state SET wipe_due = 1")
    return int(last)


def count_references(connection: Tables, person: Person) -> int:
    """How many reference images a person has."""
    (count,) = connection.execute(
        "SELECT count(*) FROM reference_images WHERE person_id = ?", (person.id,)
    ).fetchone()
    return int(count)


def delete_person(connection: Tables, person: Person) -> None:
    """Deletes person, images and embeddings, also in an envelope, and notes that the file has to be wiped."""
    connection.execute("UPDATE fleet_people SET envelope = x'' WHERE person_id = ?", (person.id,))
    connection.execute("DELETE FROM people WHERE id = ?", (person.id,))
    connection.execute("UPDATE state SET wipe_due = 1")


def rename(connection: Tables, person: Person, name: str) -> Person:
    """`person` under a name known to be free."""
    renamed = Person(person.id, name, person.admin)
    connection.execute(
        "UPDATE people SET name = ?, name_key = ? WHERE id = ?",
        (_stored_name(connection, renamed), connection.seal.index(name_key(name)), person.id),
    )
    note_skeletons(connection, person.id, name)
    return renamed


def set_admin(connection: Tables, person: Person, admin: bool) -> Person:
    """`person` with or without the right to authorise enrolments."""
    changed = Person(person.id, person.name, admin)
    connection.execute(
        "UPDATE people SET name = ?, admin = ? WHERE id = ?",
        (_stored_name(connection, changed), admin, person.id),
    )
    return changed
