"""The people of the fleet in the tables of the gallery, inside a transaction of the caller."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from facelatch.errors import InputError
from facelatch.gallery.seal import Tables
from facelatch.sharing.merge import Known, Pair, Rank
from facelatch.values.records import Person

MOST_PEOPLE = 30_000
"""Of the fleet that a door remembers, those revoked counted: a door that may enrol and has gone mad fills no disk."""

UNCHECKED, ALIKE_HERE, INDISTINCT, MODEL = "unchecked", "alike_here", "indistinct", "model"
"""Why somebody is held besides `merge.ALIKE`: not compared with the others yet, looks like somebody of this door alone,
looks like people who do not exist, no embedding by this door's model."""

_COLUMNS = (
    "uuid, person_id, version, revoked, suspended, digest, own, enrolled, beside, content, held, dirty, envelope"
)


@dataclass(frozen=True, slots=True)
class FleetRow:
    """One person of the fleet."""

    uuid: str
    person_id: int | None
    version: int
    revoked: bool
    suspended: bool
    digest: str
    own: bool
    enrolled: int
    beside: tuple[str, ...]
    content: str
    held: str
    dirty: bool
    envelope: bytes = field(repr=False)

    @property
    def rank(self) -> Rank:
        """How its envelope is compared with another of the same person."""
        return Rank(
            revoked=self.revoked, version=self.version, suspended=self.suspended, digest=self.digest
        )

    @property
    def is_whole(self) -> bool:
        """Whether the envelope is the one that was taken or sealed: the seal binds its sha256, and not itself."""
        return hashlib.sha256(self.envelope).hexdigest() == self.digest


def nobody(uuid: str) -> FleetRow:
    """A row of whom nothing is known yet."""
    return FleetRow(
        uuid=uuid,
        person_id=None,
        version=0,
        revoked=False,
        suspended=False,
        digest="",
        own=False,
        enrolled=0,
        beside=(),
        content="",
        held="",
        dirty=False,
        envelope=b"",
    )


def selected(
    connection: Tables, where: str = "1", values: Iterable[object] = (), *, most: int = -1
) -> list[FleetRow]:
    """The rows that meet a condition of ours, by uuid; at most `most`, where that is not negative."""
    found = connection.execute(
        f"SELECT {_COLUMNS} FROM fleet_people WHERE {where} ORDER BY uuid LIMIT ?", (*values, most)
    )
    return [_row(one) for one in found]


def _row(found: tuple[object, ...]) -> FleetRow:
    given = dict(zip(_COLUMNS.split(", "), found, strict=True))
    given["beside"] = tuple(json.loads(str(given["beside"])))
    flags = {key: bool(given[key]) for key in ("revoked", "suspended", "own", "dirty")}
    return FleetRow(**{**given, **flags})  # type: ignore[arg-type]


def any_(connection: Tables) -> bool:
    """Whether this door knows anybody of a fleet."""
    return connection.execute("SELECT 1 FROM fleet_people LIMIT 1").fetchone() is not None


def of_uuid(connection: Tables, uuid: str) -> FleetRow | None:
    """The person with this uuid, if this door has heard of one."""
    return next(iter(selected(connection, "uuid = ?", [uuid])), None)


def of_person(connection: Tables, person: Person) -> FleetRow | None:
    """What the fleet knows of somebody in the gallery; None for a person of this door alone."""
    return next(iter(selected(connection, "person_id = ?", [person.id])), None)


def save(connection: Tables, row: FleetRow) -> None:
    """Keeps a row, new or in place of the one before."""
    values = {key: getattr(row, key) for key in _COLUMNS.split(", ")} | {"beside": json.dumps(list(row.beside))}
    names = list(values)
    changes = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
    connection.execute(
        f"INSERT INTO fleet_people ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        f" ON CONFLICT (uuid) DO UPDATE SET {changes}",
        list(values.values()),
    )


def share(connection: Tables, person: Person, uuid: str, enrolled: int) -> FleetRow:
    """Makes somebody of this door one of the fleet, under a new uuid. Raises InputError: is one already."""
    if of_person(connection, person) is not None:
        raise InputError(f"{person.name} is of the fleet already", hint="`facelatch people list` shows who is")
    row = replace(nobody(uuid), person_id=person.id, own=True, enrolled=enrolled, dirty=True)
    save(connection, row)
    return row


def refuse_full(connection: Tables) -> None:
    """Raises InputError where no more people of the fleet are remembered."""
    (count,) = connection.execute("SELECT count(*) FROM fleet_people").fetchone()
    if count >= MOST_PEOPLE:
        raise InputError(f"the fleet has {count} people, counted with those revoked", hint="make a new fleet")


def index(connection: Tables, after: str, most: int) -> list[tuple[str, int, bool, str]]:
    """(uuid, version, revoked, sha256) of the envelopes, by uuid, after one; of those not sealed yet none."""
    found = connection.execute(
        "SELECT uuid, version, revoked, digest FROM fleet_people WHERE version > 0 AND uuid > ?"
        " ORDER BY uuid LIMIT ?",
        (after, most),
    )
    return [(uuid, version, bool(revoked), digest) for uuid, version, revoked, digest in found]


@dataclass(frozen=True, slots=True)
class State:
    """How the fleet's people stand at this door. Doors that know the same have the same digest."""

    people: int
    revoked: int
    held: int
    digest: str


def state(connection: Tables) -> State:
    """Counted, and one sha256 over all envelopes."""
    found = connection.execute(
        "SELECT digest, revoked, held FROM fleet_people WHERE version > 0 ORDER BY uuid"
    ).fetchall()
    together = hashlib.sha256("".join(digest for digest, *_ in found).encode()).hexdigest()
    revoked = sum(revoked for _, revoked, _ in found)
    return State(
        people=len(found) - revoked,
        revoked=revoked,
        held=sum(bool(held) for *_, held in found),
        digest=together,
    )


# Who looks like whom


def in_gallery(connection: Tables) -> list[tuple[int, str, Known]]:
    """(number here, why held, who) of everybody of the fleet who is in the gallery."""
    found = connection.execute(
        "SELECT person_id, held, uuid, enrolled, beside FROM fleet_people WHERE person_id IS NOT NULL ORDER BY uuid"
    )
    return [
        (id_, held, Known(uuid=uuid, enrolled=enrolled, beside=frozenset(json.loads(beside))))
        for id_, held, uuid, enrolled, beside in found
    ]


def pairs(connection: Tables) -> list[Pair]:
    """Everybody whom the model takes for each other."""
    return [frozenset(row) for row in connection.execute("SELECT uuid, other FROM fleet_alike")]


def note_alike(connection: Tables, uuid: str, others: Collection[str]) -> None:
    """Whom `uuid` is taken for, in place of what was noted before."""
    connection.execute("DELETE FROM fleet_alike WHERE uuid = ? OR other = ?", (uuid, uuid))
    connection.executemany(
        "INSERT OR IGNORE INTO fleet_alike (uuid, other) VALUES (?, ?)",
        [(min(uuid, other), max(uuid, other)) for other in others],
    )


def hold(connection: Tables, reasons: Mapping[str, str]) -> None:
    """Holds exactly those named, each for a reason; everybody else may come in."""
    connection.execute("UPDATE fleet_people SET held = '' WHERE held <> ''")
    connection.executemany(
        "UPDATE fleet_people SET held = ? WHERE uuid = ?", [(reason, uuid) for uuid, reason in reasons.items()]
    )
