"""An envelope that was opened becomes a person in the tables of the gallery, inside a transaction of the caller."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from facelatch.errors import InputError
from facelatch.gallery import fleet, rows
from facelatch.gallery.access import set_access
from facelatch.gallery.export import StoredReference
from facelatch.gallery.fleet import FleetRow
from facelatch.gallery.names import clean_name
from facelatch.gallery.seal import Tables
from facelatch.sharing.content import FLEET_HASH, Content, Vectors, unpack
from facelatch.sharing.envelope import EnvelopeError, Opened, reopen
from facelatch.sharing.membership import Membership
from facelatch.sharing.merge import Rank
from facelatch.values.pictures import Pose
from facelatch.values.records import Person

_HASHES = ("pin_hash", "duress_hash", "card_hash")


class Outcome(StrEnum):
    """What came of an envelope."""

    ADDED = "added"
    CHANGED = "changed"
    REVOKED = "revoked"
    OLD = "old"
    """The door has this one, or one that counts more."""
    LEFT_OUT = "left_out"
    """The person was removed at this door, and stays so."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What an envelope did."""

    outcome: Outcome
    person: Person | None = None
    """Who was added, changed, or removed."""
    admin_lost: bool = False
    """Whether the right to authorise enrolments was taken away: another door says what this face or PIN is now."""


@dataclass(frozen=True, slots=True)
class Told:
    """What is in an envelope of a person, checked."""

    content: Content
    vectors: Vectors
    name: str

    def hashes(self) -> dict[str, str | None]:
        """PIN, duress PIN and card, by column."""
        return dict(
            zip(_HASHES, (self.content.pin, self.content.duress, self.content.card), strict=True)
        )


def checked(opened: Opened) -> Told | None:
    """What `opened` says of a person; None where it revokes. Raises EnvelopeError for what is no person."""
    if opened.header.revoked:
        return None
    try:
        content, vectors = unpack(opened.content)
        return Told(content, vectors, clean_name(content.name))
    except (ValueError, InputError):
        raise EnvelopeError("not_a_person") from None


def fits(told: Told, made_by: str, size: int | None) -> bool:
    """Whether the embeddings by one model are as long as it makes them: others would spoil the whole gallery."""
    return size is None or made_by not in told.vectors or told.vectors[made_by].shape[1] == size


def before(member: Membership, row: FleetRow) -> Told | None:
    """What the door was told last of a person; None where that cannot be read any more."""
    try:
        return checked(reopen(member, row.envelope)) if row.is_whole else None
    except EnvelopeError:
        return None


def take(
    connection: Tables, member: Membership, opened: Opened, made_by: str, size: int | None = None
) -> Taken:
    """Puts an envelope into effect where it counts more than what the door has.

    The embeddings that count are those made by `made_by`, each of `size` numbers. Whoever is new or has new ones is
    held until compared with the others. Raises EnvelopeError, InputError; then the caller rolls back.
    """
    told, row = checked(opened), fleet.of_uuid(connection, opened.header.uuid)
    if told is not None and not fits(told, made_by, size):
        raise EnvelopeError("not_a_person")
    if row is not None and row.version and _rank(opened, told) <= row.rank:
        return Taken(Outcome.OLD)
    if row is None:
        fleet.refuse_full(connection)
    if told is None:
        return _revoke(connection, opened, row)
    if row is None:
        return _add(connection, opened, told, made_by)
    person = in_gallery(connection, row)
    if person is None:
        fleet.save(connection, replace(_saved(opened, told, row), envelope=b""))
        return Taken(Outcome.LEFT_OUT)
    return _change(connection, opened, told, _Known(row, person, before(member, row)), made_by)


def _rank(opened: Opened, told: Told | None) -> Rank:
    suspended = told is not None and told.content.suspended
    version, digest = opened.header.version, opened.digest
    return Rank(revoked=opened.header.revoked, version=version, suspended=suspended, digest=digest)


def in_gallery(connection: Tables, row: FleetRow) -> Person | None:
    """The person of a row, where there is one here."""
    found = connection.execute("SELECT id, name, admin FROM people WHERE id = ?", (row.person_id,)).fetchone()
    return rows.person_of(connection, found) if found else None


def _saved(opened: Opened, told: Told, row: FleetRow) -> FleetRow:
    """`row` with what the envelope says."""
    return replace(
        row,
        version=opened.header.version,
        suspended=told.content.suspended,
        digest=opened.digest,
        enrolled=told.content.enrolled,
        beside=told.content.beside,
        content=hashlib.sha256(opened.content).hexdigest(),
        envelope=opened.data,
    )


def revoked(opened: Opened) -> FleetRow:
    """What is left of a person who was revoked: that this uuid is nobody any more."""
    header = opened.header
    return replace(
        fleet.nobody(header.uuid), version=header.version, revoked=True, digest=opened.digest, envelope=opened.data
    )


def _revoke(connection: Tables, opened: Opened, row: FleetRow | None) -> Taken:
    gone = in_gallery(connection, row) if row is not None else None
    if gone is not None:
        rows.delete_person(connection, gone)
    fleet.save(connection, revoked(opened))
    fleet.note_alike(connection, opened.header.uuid, ())
    return Taken(Outcome.REVOKED, gone)


def _add(connection: Tables, opened: Opened, told: Told, made_by: str) -> Taken:
    rows.refuse_overfull(connection, 1, sum(map(len, told.vectors.values())))
    person = rows.insert_person(connection, free_alias(connection, told.name), False, told.content.access)
    row = _saved(opened, told, replace(fleet.nobody(opened.header.uuid), person_id=person.id, held=fleet.UNCHECKED))
    fleet.save(connection, row)
    _set_hashes(connection, person, told.hashes())
    put_references(connection, person, told, made_by)
    _settled(connection, row)
    return Taken(Outcome.ADDED, person)


@dataclass(frozen=True, slots=True)
class _Known:
    row: FleetRow
    person: Person
    before: Told | None


def _change(connection: Tables, opened: Opened, told: Told, known: _Known, made_by: str) -> Taken:
    person, row, last = known.person, known.row, known.before
    if last is None or last.name != told.name:
        name = free_alias(connection, told.name, except_for=person.id)
        person = rows.rename(connection, person, name)
    set_access(connection, person.id, told.content.access)
    other_face = not row.own and (last is None or not _same(last.vectors, told.vectors))
    other_hashes = last is None or last.hashes() != told.hashes()
    if other_hashes:
        _set_hashes(connection, person, told.hashes())
    if other_face:
        put_references(connection, person, told, made_by, after=rows.delete_references(connection, person))
        row = replace(row, held=fleet.UNCHECKED)
    admin_lost = person.admin and (other_face or other_hashes)
    if admin_lost:
        person = rows.set_admin(connection, person, False)
    row = _saved(opened, told, row)
    fleet.save(connection, row)
    _settled(connection, row)
    return Taken(Outcome.CHANGED, person, admin_lost)


def _settled(connection: Tables, row: FleetRow) -> None:
    """What the triggers noted was the envelope's doing, and no change of this door's."""
    connection.execute("UPDATE fleet_people SET dirty = 0 WHERE uuid = ?", (row.uuid,))


def _same(one: Vectors, other: Vectors) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)


def put_references(connection: Tables, person: Person, told: Told, made_by: str, *, after: int = 0) -> None:
    """Embeddings without pictures, with ids over `after`; none where the envelope has none by this door's model."""
    for vector in told.vectors.get(made_by, ()):
        id_ = rows.insert_reference(connection, person, StoredReference(b"", Pose(0.0, 0.0, 0.0)), after=after)
        rows.insert_embedding(connection, id_, person.id, made_by, vector)


def _set_hashes(connection: Tables, person: Person, told: Mapping[str, str | None]) -> None:
    """PIN and card as told. A hash by this door's own key stays where nothing is told: no other door can know of it."""
    found = connection.execute(
        f"SELECT {', '.join(_HASHES)} FROM credentials WHERE person_id = ?", (person.id,)
    ).fetchone()
    old = dict(zip(_HASHES, found or (None, None, None), strict=True))
    ours = {key: value for key, value in old.items() if value and not value.startswith(FLEET_HASH)}
    new = {key: told[key] or ours.get(key) for key in old}
    if new["card_hash"] is not None and _taken(connection, person, new["card_hash"]):
        new["card_hash"] = None  # a card of two people would be nobody's
    if new != old:
        connection.execute(
            "INSERT INTO credentials (person_id, pin_hash, duress_hash, card_hash) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (person_id) DO UPDATE SET pin_hash = excluded.pin_hash,"
            " duress_hash = excluded.duress_hash, card_hash = excluded.card_hash",
            (person.id, *new.values()),
        )


def _taken(connection: Tables, person: Person, card: str) -> bool:
    query = "SELECT 1 FROM credentials WHERE card_hash = ? AND person_id <> ?"
    return connection.execute(query, (card, person.id)).fetchone() is not None


def free_alias(connection: Tables, name: str, *, except_for: int | None = None) -> str:
    """`name`, with a number behind it where this door has somebody whose name looks like it."""
    if any(one.id != except_for for one in rows.alike(connection, name)):
        return rows.numbered_name(connection, name)
    return name


def is_alias(shown: str, name: str) -> bool:
    """Whether `shown` is what `free_alias` made of `name`."""
    number = re.search(r" \d+$", shown)
    return shown == name or (number is not None and name.startswith(shown[: number.start()]))
