"""The people of the fleet at a start: with another model, or without the fleet that they came from."""

from __future__ import annotations

from facelatch.gallery import fleet, rows
from facelatch.gallery.fleet import FleetRow
from facelatch.gallery.fleet_sealing import note_stale
from facelatch.gallery.fleet_taking import before, fits, in_gallery, put_references
from facelatch.gallery.seal import Tables
from facelatch.sharing.envelope import EnvelopeError, header_of
from facelatch.sharing.membership import Membership

NO_FLEET = "no_fleet"
"""Why somebody is held whom nobody could revoke any more: this door has left the fleet, maybe for another one."""


def at_start(connection: Tables, member: Membership | None, made_by: str, size: int | None) -> None:
    """Brings what came from elsewhere in line with this start's membership and model.

    Embeddings by another model are exchanged for those of this one, where they were told. Whoever came from a fleet
    that this door is no member of is held.
    """
    elsewhere = fleet.selected(connection, "own = 0 AND person_id IS NOT NULL")
    for row in elsewhere:
        left = member is None or not _is_of(member, row)
        if left != (row.held == NO_FLEET):
            held = NO_FLEET if left else fleet.UNCHECKED
            connection.execute("UPDATE fleet_people SET held = ? WHERE uuid = ?", (held, row.uuid))
    if member is None:
        return
    note_stale(connection, member)
    have = connection.execute(
        "SELECT DISTINCT person_id FROM reference_images JOIN embeddings ON reference_id = reference_images.id"
        " WHERE made_by = ?",
        (made_by,),
    )
    there = {id_ for (id_,) in have}
    for row in elsewhere:
        if row.person_id in there or not _is_of(member, row):
            continue
        told, person = before(member, row), in_gallery(connection, row)
        if person is None:
            continue
        last = rows.delete_references(connection, person)
        if told is not None and fits(told, made_by, size):
            put_references(connection, person, told, made_by, after=last)
        connection.execute(
            "UPDATE fleet_people SET held = ?, dirty = ? WHERE uuid = ?", (fleet.UNCHECKED, row.dirty, row.uuid)
        )


def _is_of(member: Membership, row: FleetRow) -> bool:
    try:
        return row.is_whole and header_of(row.envelope).fleet == member.fleet
    except EnvelopeError:
        return False
