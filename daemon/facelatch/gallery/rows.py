"""Single steps on the tables of the gallery, inside a transaction of the caller."""

from __future__ import annotations

import sqlite3
from datetime import date
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from facelatch.errors import InputError
from facelatch.gallery.export import MAX_ALL_REFERENCES, MAX_PEOPLE, StoredReference
from facelatch.gallery.names import MAX_LENGTH, clean_name, name_key, skeletons
from facelatch.values.hours import Access
from facelatch.values.pictures import Pose
from facelatch.values.records import Person, PersonRecord
from facelatch.vision.align import ALIGN_VERSION

VECTOR = np.dtype("<f4")
"""How an embedding is stored."""

ACCESS_COLUMNS = "valid_from, valid_until, schedule, suspended, forget"
EVERYBODY = Access()
"""Of whoever may always come."""


def holder(connection: sqlite3.Connection, name: str) -> Person | None:
    """Whoever has this name, in whatever case."""
    row = connection.execute(
        "SELECT id, name, admin FROM people WHERE name_key = ?", (name_key(name),)
    ).fetchone()
    return Person(row[0], row[1], bool(row[2])) if row else None


def alike(connection: sqlite3.Connection, name: str) -> list[Person]:
    """Everybody whose name looks like this one, whoever has it among them; by id."""
    wanted = sorted(skeletons(name))
    rows = connection.execute(
        "SELECT id, name, admin FROM people WHERE id IN (SELECT person_id FROM name_skeletons"
        f" WHERE skeleton IN ({','.join('?' * len(wanted))})) ORDER BY id",
        wanted,
    )
    return [Person(id_, found, bool(admin)) for id_, found, admin in rows]


def find(connection: sqlite3.Connection, name: str) -> Person:
    """The person of this name, or the only one whose name looks like it.

    Raises InputError with the nearest name there is.
    """
    wanted = clean_name(name)
    if found := holder(connection, wanted):
        return found
    similar = alike(connection, wanted)
    if len(similar) == 1:
        return similar[0]
    known = [row[0] for row in connection.execute("SELECT name FROM people WHERE staged IS NULL")]
    close = get_close_matches(wanted, known, n=1)
    guess = f"did you mean {close[0]!r}? " if close else ""
    raise InputError(f"nobody is called {wanted!r}", hint=f"{guess}`facelatch people list` shows all names")


def free_name(
    connection: sqlite3.Connection, name: str, *, except_for: int | None = None, knowingly: bool = False
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


def next_free_name(connection: sqlite3.Connection) -> str:
    """The next `person-NNN` that nobody has, and that nobody got from here before."""
    (number,) = connection.execute("SELECT last_number + 1 FROM state").fetchone()
    while alike(connection, f"person-{number:03}"):
        number += 1
    connection.execute("UPDATE state SET last_number = ?", (number,))
    return f"person-{number:03}"


def numbered_name(connection: sqlite3.Connection, name: str) -> str:
    """The first free one of `name 2`, `name 3`..., shortened where it would be too long."""
    number = 2
    while alike(connection, candidate := f"{name[: MAX_LENGTH - len(f' {number}')]} {number}"):
        number += 1
    return candidate


def refuse_overfull(connection: sqlite3.Connection, people: int, references: int) -> None:
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


def records(connection: sqlite3.Connection, after: int, most: int) -> list[PersonRecord]:
    """Everybody enrolled whose id is over `after`, by id; at most `most`, where that is not negative."""
    found = connection.execute(
        "SELECT id, name, admin, created, (SELECT count(*) FROM reference_images WHERE person_id = people.id),"
        f" {ACCESS_COLUMNS}, pin_hash IS NOT NULL, card_hash IS NOT NULL"
        " FROM people LEFT JOIN credentials ON person_id = id WHERE staged IS NULL AND id > ? ORDER BY id LIMIT ?",
        (after, most),
    )
    return [
        PersonRecord(Person(id_, name, bool(admin)), count, created, access_of(*access))
        for id_, name, admin, created, count, *access in found
    ]


def access_of(
    valid_from: str | None, valid_until: str | None, schedule: str | None, suspended: int, forget: int, *has: int
) -> Access:
    """A row of ACCESS_COLUMNS, and whether there are a PIN and a card."""
    return Access(
        valid_from=date.fromisoformat(valid_from) if valid_from else None,
        valid_until=date.fromisoformat(valid_until) if valid_until else None,
        schedule=schedule,
        suspended=bool(suspended),
        forget=bool(forget),
        has_pin=bool(has[0]) if has else False,
        has_card=bool(has[1]) if has else False,
    )


def set_access(connection: sqlite3.Connection, person_id: int, access: Access) -> None:
    """Says when somebody may come, in place of what was said before."""
    values = ACCESS_COLUMNS.replace(",", " = ?,") + " = ?"
    days = [day.isoformat() if day is not None else None for day in (access.valid_from, access.valid_until)]
    connection.execute(
        f"UPDATE people SET {values} WHERE id = ?",
        (*days, access.schedule, access.suspended, access.forget, person_id),
    )


def insert_person(connection: sqlite3.Connection, name: str, admin: bool, access: Access = EVERYBODY) -> Person:
    """A new person under a name known to be free."""
    cursor = connection.execute(
        "INSERT INTO people (name, name_key, admin) VALUES (?, ?, ?)", (name, name_key(name), admin)
    )
    assert cursor.lastrowid is not None
    note_skeletons(connection, cursor.lastrowid, name)
    set_access(connection, cursor.lastrowid, access)
    return Person(cursor.lastrowid, name, admin)


def note_skeletons(connection: sqlite3.Connection, person_id: int, name: str) -> None:
    """Keeps what a name looks like beside it, in place of what was kept for that person."""
    connection.execute("DELETE FROM name_skeletons WHERE person_id = ?", (person_id,))
    connection.executemany(
        "INSERT INTO name_skeletons (person_id, skeleton) VALUES (?, ?)",
        [(person_id, skeleton) for skeleton in sorted(skeletons(name))],
    )


def insert_reference(connection: sqlite3.Connection, person: Person, reference: StoredReference) -> int:
    """One more reference image of `person`; its id."""
    pose = reference.pose
    cursor = connection.execute(
        "INSERT INTO reference_images (person_id, align_version, yaw, pitch, roll, crop_png)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (person.id, ALIGN_VERSION, float(pose.yaw), float(pose.pitch), float(pose.roll), reference.crop_png),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def insert_embedding(
    connection: sqlite3.Connection, reference_id: int, made_by: str, embedding: NDArray[np.float32]
) -> None:
    """What was made of one reference image; replaces what was made of it otherwise."""
    vector = np.ascontiguousarray(embedding, dtype=VECTOR)
    connection.execute(
        "INSERT OR REPLACE INTO embeddings (reference_id, made_by, vector) VALUES (?, ?, ?)",
        (reference_id, made_by, vector.tobytes()),
    )


def stored_references(connection: sqlite3.Connection, person: Person) -> tuple[StoredReference, ...]:
    """The reference images of `person` as they were kept."""
    rows = connection.execute(
        "SELECT crop_png, yaw, pitch, roll FROM reference_images WHERE person_id = ? ORDER BY id",
        (person.id,),
    )
    return tuple(StoredReference(crop_png, Pose(yaw, pitch, roll)) for crop_png, yaw, pitch, roll in rows)


def vectors(connection: sqlite3.Connection, person: Person) -> list[bytes]:
    """The embedding of each reference image of `person` as it was kept; empty where there is none."""
    found = connection.execute(
        "SELECT vector FROM reference_images LEFT JOIN embeddings ON reference_id = reference_images.id"
        " WHERE person_id = ? ORDER BY reference_images.id",
        (person.id,),
    )
    return [bytes(vector or b"") for (vector,) in found]


def delete_references(connection: sqlite3.Connection, person: Person) -> None:
    """Deletes images and embeddings of a person who stays, and notes that the file has to be wiped."""
    connection.execute("DELETE FROM reference_images WHERE person_id = ?", (person.id,))
    connection.execute("UPDATE state SET wipe_due = 1")


def count_references(connection: sqlite3.Connection, person: Person) -> int:
    """How many reference images a person has."""
    (count,) = connection.execute(
        "SELECT count(*) FROM reference_images WHERE person_id = ?", (person.id,)
    ).fetchone()
    return int(count)


def delete_person(connection: sqlite3.Connection, person: Person) -> None:
    """Deletes person, images and embeddings, and notes that the file has to be wiped."""
    connection.execute("DELETE FROM people WHERE id = ?", (person.id,))
    connection.execute("UPDATE state SET wipe_due = 1")


def rename(connection: sqlite3.Connection, person: Person, name: str) -> Person:
    """`person` under a name known to be free."""
    connection.execute(
        "UPDATE people SET name = ?, name_key = ? WHERE id = ?", (name, name_key(name), person.id)
    )
    note_skeletons(connection, person.id, name)
    return Person(person.id, name, person.admin)


def set_admin(connection: sqlite3.Connection, person: Person, admin: bool) -> Person:
    """`person` with or without the right to authorise enrolments."""
    connection.execute("UPDATE people SET admin = ? WHERE id = ?", (admin, person.id))
    return Person(person.id, person.name, admin)
