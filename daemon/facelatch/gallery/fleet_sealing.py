"""What changed here about people of the fleet becomes envelopes, inside a transaction of the caller."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from facelatch.gallery import fleet
from facelatch.gallery.access import ACCESS_COLUMNS, access_of
from facelatch.gallery.fleet import FleetRow
from facelatch.gallery.fleet_taking import Told, before, in_gallery, is_alias, revoked
from facelatch.gallery.rows import EMBEDDING, VECTOR
from facelatch.gallery.seal import Tables
from facelatch.sharing.content import FLEET_HASH, MOST_MODELS, Content, Vectors, pack
from facelatch.sharing.envelope import MAX_VERSION, EnvelopeError, close, header_of, open_
from facelatch.sharing.membership import Membership
from facelatch.values.records import Person

AT_ONCE = 16
"""Envelopes sealed in one transaction."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """Who was sealed anew."""

    row: FleetRow
    person: Person | None
    """None: revoked."""


def note_stale(connection: Tables, member: Membership) -> None:
    """At a door that enrols: notes whose envelope has to be made anew because it is under an old key, or signed by a
    door that may not enrol any more. To be called when the membership was read.

    Whoever was removed at this door alone, when it only followed, is for others to say.
    """
    if member.enrols:
        known = fleet.selected(connection, "revoked = 1 OR person_id IS NOT NULL")
        stale = [(row.uuid,) for row in known if is_stale(member, row)]
        connection.executemany("UPDATE fleet_people SET dirty = 1 WHERE uuid = ?", stale)


def is_stale(member: Membership, row: FleetRow) -> bool:
    """Whether this door has to make an envelope anew, whoever's it is. Another enroller does so with its own."""
    if not row.version:
        return False
    try:
        header = header_of(row.envelope)
    except EnvelopeError:
        return True
    if header.fleet != member.fleet or header.signer not in member.enrollers:
        return True
    return header.signer == member.door and not header.revoked and header.key_id != max(member.keys)


def due(connection: Tables) -> list[FleetRow]:
    """Some of those whose envelope may not say any more what is so."""
    return fleet.selected(connection, "dirty = 1", most=AT_ONCE)


def seal(connection: Tables, member: Membership, row: FleetRow, made_by: str) -> Sealed | None:
    """Brings the envelope of one person up to date; None where it was, or this door may not, or cannot yet."""
    connection.execute("UPDATE fleet_people SET dirty = 0 WHERE uuid = ?", (row.uuid,))
    if not member.enrols:
        return None
    person = in_gallery(connection, row)
    if row.revoked and not is_stale(member, row):
        return None
    if row.revoked or person is None:
        return _revoke(connection, member, row)
    if row.version >= MAX_VERSION:
        return None
    last = before(member, row)
    vectors = _vectors(connection, person, row, last, made_by)
    if not vectors:
        return None
    content = _content(connection, person, row, last)
    packed = pack(content, vectors)
    if hashlib.sha256(packed).hexdigest() == row.content and not is_stale(member, row):
        return None
    opened = open_(member, close(member, row.uuid, row.version + 1, packed))
    new = replace(
        row,
        version=opened.header.version,
        suspended=content.suspended,
        digest=opened.digest,
        content=hashlib.sha256(packed).hexdigest(),
        dirty=False,
        envelope=opened.data,
    )
    fleet.save(connection, new)
    return Sealed(new, person)


def give_up(connection: Tables, row: FleetRow) -> None:
    """Does not try again before the person changes."""
    connection.execute("UPDATE fleet_people SET dirty = 0 WHERE uuid = ?", (row.uuid,))


def withdraw(connection: Tables, member: Membership, row: FleetRow) -> Sealed:
    """Makes somebody a person of this door alone again: all others forget."""
    return _revoke(connection, member, row)


def _revoke(connection: Tables, member: Membership, row: FleetRow) -> Sealed:
    # The version of a revocation matters little, and a door gone mad may have used up all others.
    opened = open_(member, close(member, row.uuid, min(row.version + 1, MAX_VERSION), None))
    fleet.save(connection, revoked(opened))
    fleet.note_alike(connection, row.uuid, ())
    return Sealed(fleet.of_uuid(connection, row.uuid) or row, None)


def _vectors(connection: Tables, person: Person, row: FleetRow, last: Told | None, made_by: str) -> Vectors:
    """By this door's model from the gallery, where the pictures are here; by others as they were told.

    Those of the model before stay: a fleet changes its model one door after the other. Empty where they are not all
    there.
    """
    told = dict(last.vectors) if last is not None else {}
    if not row.own:
        return told
    found = connection.execute(
        "SELECT reference_images.id, vector FROM reference_images LEFT JOIN embeddings"
        " ON reference_id = reference_images.id AND made_by = ? WHERE person_id = ? ORDER BY reference_images.id",
        (made_by, person.id),
    ).fetchall()
    if not found or any(vector is None for _, vector in found):
        return {}
    opened = (connection.seal.open(vector, EMBEDDING, id_, person.id, made_by) for id_, vector in found)
    told.pop(made_by, None)
    others = list(told.items())[: MOST_MODELS - 1]
    return {made_by: np.stack([np.frombuffer(one, dtype=VECTOR) for one in opened]), **dict(others)}


def _content(connection: Tables, person: Person, row: FleetRow, last: Told | None) -> Content:
    found = connection.execute(f"SELECT {ACCESS_COLUMNS} FROM people WHERE id = ?", (person.id,)).fetchone()
    hashes = connection.execute(
        "SELECT pin_hash, duress_hash, card_hash FROM credentials WHERE person_id = ?", (person.id,)
    ).fetchone()
    shared = [value if (value or "").startswith(FLEET_HASH) else None for value in hashes or (None, None, None)]
    access = access_of(*found)
    name = last.content.name if last is not None and is_alias(person.name, last.content.name) else person.name
    return Content(
        name=name,
        enrolled=row.enrolled,
        valid_from=access.valid_from,
        valid_until=access.valid_until,
        schedule=access.schedule,
        suspended=access.suspended,
        forget=access.forget,
        pin=shared[0],
        duress=shared[1],
        card=shared[2],
        beside=row.beside,
    )
