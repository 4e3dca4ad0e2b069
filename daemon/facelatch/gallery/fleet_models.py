"""The people of the fleet at a start: with another model, or without the fleet that they came from."""

from __future__ import annotations

from facelatch.gallery import fleet, rows
from facelatch.gallery.fleet_sealing import note_stale
from facelatch.gallery.fleet_taking import before, fits, in_gallery, put_references
from facelatch.gallery.seal import Tables
from facelatch.sharing.membership import Membership

NO_FLEET = "no_fleet"
"""Why somebody is held whom nobody could revoke any more: this door has left the fleet."""


def at_start(connection: Tables, member: Membership | None, made_by: str, size: int | None) -> None:
    """Brings what came from elsewhere in line with this start's membership and model.

    Embeddings by another model are exchanged for those of this one, where they were told. Whoever came from a fleet
    that this door is no member of is held.
    """
    elsewhere = fleet.selected(connection, "own = 0 AND person_id IS NOT NULL")
    if member is None:
        connection.execute(
            "UPDATE fleet_people SET held = ? WHERE own = 0 AND person_id IS NOT NULL", (NO_FLEET,)
        )
        return
    connection.execute("UPDATE fleet_people SET held = ? WHERE held = ?", (fleet.UNCHECKED, NO_FLEET))
    note_stale(connection, member)
    have = connection.execute(
        "SELECT DISTINCT person_id FROM reference_images JOIN embeddings ON reference_id = reference_images.id"
        " WHERE made_by = ?",
        (made_by,),
    )
    there = {id_ for (id_,) in have}
    for row in elsewhere:
        told, person = before(member, row), in_gallery(connection, row)
        if row.person_id in there or person is None:
            continue
        last = rows.delete_references(connection, person)
        if told is not None and fits(told, made_by, size):
            put_references(connection, person, told, made_by, after=last)
        connection.execute(
            "UPDATE fleet_people SET held = ?, dirty = ? WHERE uuid = ?", (fleet.UNCHECKED, row.dirty, row.uuid)
        )
