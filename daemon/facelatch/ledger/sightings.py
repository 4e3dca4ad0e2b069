"""Who came when: kept in memory from the ledger, so that the loop can ask without waiting for the card."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field

from facelatch.audit.chain import Moment
from facelatch.audit.events import Event, EventKind

_COMES = (EventKind.VISIT_GRANTED, EventKind.ENROLMENT_SAVED, EventKind.REFERENCES_CHANGED, EventKind.PERSON_ADDED)
"""After which somebody counts as having been here."""


@dataclass(frozen=True, slots=True)
class Sightings:
    """By the wall clock, where it was set. Milliseconds of Unix time."""

    came: Mapping[int, int] = field(default_factory=dict)
    """When each person came last, by id."""
    warned: Mapping[int, int] = field(default_factory=dict)
    """When the last warning was, by id."""
    since: int | None = None
    """From when on every visit is known; None: not yet."""

    def with_event(self, event: Event, when: Moment) -> Sightings:
        """The same after one more event."""
        if not when.trusted:
            return self
        # An event that was lost may have been anybody's visit: before that nothing is known any more.
        lost = event.kind is EventKind.LEDGER_RESTORED and event.fields.get("COUNT") != 0
        since = when.wall_ms if lost or self.since is None else self.since
        person, came, warned = event.fields.get("PERSON_ID"), self.came, self.warned
        if isinstance(person, int) and event.kind in _COMES:
            came = {**came, person: when.wall_ms}
        elif isinstance(person, int) and event.kind is EventKind.PERSON_UNUSED:
            warned = {**warned, person: when.wall_ms}
        return Sightings(came=came, warned=warned, since=since)


def sightings(connection: sqlite3.Connection) -> Sightings:
    """What the ledger knows. Raises sqlite3.Error."""
    return Sightings(
        came=_last(connection, tuple(kind.value for kind in _COMES)),
        warned=_last(connection, (EventKind.PERSON_UNUSED.value,)),
        since=_since(connection),
    )


def _last(connection: sqlite3.Connection, kinds: tuple[str, ...]) -> dict[int, int]:
    found = connection.execute(
        "SELECT json_extract(fields, '$.PERSON_ID') AS person, max(wall_ms) FROM rows"
        f" WHERE kind IN ({','.join('?' * len(kinds))}) AND trusted = 1 AND person IS NOT NULL GROUP BY person",
        kinds,
    )
    return dict(found.fetchall())


def _since(connection: sqlite3.Connection) -> int | None:
    (lost,) = connection.execute(
        "SELECT max(wall_ms) FROM rows WHERE kind = ? AND trusted = 1 AND json_extract(fields, '$.COUNT') > 0",
        (EventKind.LEDGER_RESTORED.value,),
    ).fetchone()
    (first,) = connection.execute("SELECT min(wall_ms) FROM rows WHERE trusted = 1").fetchone()
    found: int | None = lost if lost is not None else first
    return found
