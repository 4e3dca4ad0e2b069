"""An import in several steps: newcomers wait in the gallery, unknown to everybody, and are let in all at once.

Each step is one short transaction, so that the door is served in between; a crash or a client that has gone leaves
rows that nobody reads, and `discard` clears them a few at a time.
"""

from __future__ import annotations

from facelatch.gallery import rows
from facelatch.gallery.access import set_access
from facelatch.gallery.names import clean_name
from facelatch.gallery.saving import Clash, Imported, Terms, cleared_name, insert_references
from facelatch.gallery.store import GalleryStore
from facelatch.values.records import NewPerson, Person

TOKEN_DIGITS = 32
"""Of the name of an import, hexadecimal."""

DISCARDED_AT_ONCE = 8
"""People. The images of each are overwritten in the file."""


def stage(store: GalleryStore, token: str, newcomer: NewPerson, terms: Terms) -> None:
    """Keeps a newcomer for `admit`. Raises InputError: too many or, with Clash.REFUSE, a taken name; GalleryError."""
    name = clean_name(newcomer.name or "")
    with store.transaction() as connection:
        if terms.clash is Clash.REFUSE:
            rows.free_name(connection, name, knowingly=terms.knowingly)
        rows.refuse_overfull(connection, 1, 0)
        person = rows.insert_waiting(connection, name, newcomer.admin, token)
        set_access(connection, person.id, newcomer.access)
        made = insert_references(connection, person, newcomer.references, terms.made_by)
    store.remember(made)


def admit(store: GalleryStore, token: str, terms: Terms) -> Imported:
    """Lets everybody in who was staged under `token`, all or none.

    Raises InputError: a name is taken, or looks like one. Raises GalleryError. Does not wipe whom it replaces.
    """
    added, replaced = [], []
    with store.transaction() as connection:
        waiting = connection.execute(
            "SELECT id, name, admin FROM people WHERE staged = ? ORDER BY id", (token,)
        ).fetchall()
        for newcomer in [rows.person_of(connection, row) for row in waiting]:
            name, gone = cleared_name(connection, newcomer.name, terms)
            replaced += gone
            connection.execute("UPDATE people SET staged = NULL WHERE id = ?", (newcomer.id,))
            added.append(rows.rename(connection, newcomer, name))
    return Imported(tuple(added), tuple(replaced))


def discard(store: GalleryStore, *, but: str | None = None) -> bool:
    """Deletes some of those who wait, other than under the token `but`. Returns whether more may be left.

    Raises GalleryError.
    """
    with store.transaction() as connection:
        found = connection.execute(
            "SELECT id FROM people WHERE staged IS NOT NULL AND staged IS NOT ? LIMIT ?",
            (but, DISCARDED_AT_ONCE),
        ).fetchall()
        for (id_,) in found:
            rows.delete_person(connection, Person(id_, ""))
    return len(found) == DISCARDED_AT_ONCE
