"""An import in several steps: newcomers wait in the gallery, unknown to everybody, and are let in all at once.

Each step is one short transaction, so that the door is served in between; a crash or a client that has gone leaves
rows that nobody reads, and `discard` clears them a few at a time.
"""

from __future__ import annotations

from collections.abc import Sequence

from facelatch.gallery import rows
from facelatch.gallery.clash import Clash, Imported, cleared_name
from facelatch.gallery.export import StoredPerson
from facelatch.gallery.names import name_key
from facelatch.gallery.store import GalleryStore
from facelatch.values.records import Person

TOKEN_DIGITS = 32
"""Of the name of an import, hexadecimal."""

DISCARDED_AT_ONCE = 8
"""People. The images of each are overwritten in the file."""


def stage(store: GalleryStore, token: str, newcomers: Sequence[StoredPerson], clash: Clash) -> None:
    """Keeps newcomers for `admit`. Raises InputError: too many or, with Clash.REFUSE, a taken name; GalleryError."""
    with store.transaction() as connection:
        for newcomer in newcomers:
            if clash is Clash.REFUSE:
                rows.free_name(connection, newcomer.name)
            rows.refuse_overfull(connection, 1, len(newcomer.references))
            # Under a key that no name has, because it has a slash; the real one may still be somebody else's.
            key = f"{token}/{name_key(newcomer.name)}"
            cursor = connection.execute(
                "INSERT INTO people (name, name_key, admin, staged) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (name_key) DO NOTHING",
                (newcomer.name, key, newcomer.admin, token),
            )
            if cursor.rowcount == 0:
                raise rows.taken(newcomer.name, newcomer.name)
            assert cursor.lastrowid is not None
            person = Person(cursor.lastrowid, newcomer.name, newcomer.admin)
            for reference in newcomer.references:
                rows.insert_reference(connection, person, reference)


def admit(store: GalleryStore, token: str, clash: Clash) -> Imported:
    """Lets everybody in who was staged under `token`, all or none; their embeddings are made afterwards.

    Raises InputError: a name is taken. Raises GalleryError. Does not wipe whom it replaces.
    """
    added, replaced = [], []
    with store.transaction() as connection:
        waiting = connection.execute(
            "SELECT id, name, admin FROM people WHERE staged = ? ORDER BY id", (token,)
        ).fetchall()
        for id_, wanted, admin in waiting:
            name, gone = cleared_name(connection, wanted, clash)
            replaced += gone
            connection.execute(
                "UPDATE people SET name = ?, name_key = ?, staged = NULL WHERE id = ?", (name, name_key(name), id_)
            )
            added.append(Person(id_, name, bool(admin)))
    return Imported(tuple(added), tuple(replaced))


def discard(store: GalleryStore, *, but: str | None = None) -> bool:
    """Deletes some of those who wait, other than under the token `but`. Returns whether more may be left.

    Raises GalleryError.
    """
    with store.transaction() as connection:
        found = connection.execute(
            "SELECT id, name FROM people WHERE staged IS NOT NULL AND staged IS NOT ? LIMIT ?",
            (but, DISCARDED_AT_ONCE),
        ).fetchall()
        for id_, name in found:
            rows.delete_person(connection, Person(id_, name))
    return len(found) == DISCARDED_AT_ONCE
