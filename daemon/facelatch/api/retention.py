"""Whoever has not come for long is warned of, then forgotten. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from facelatch.audit.chain import Moment
from facelatch.ledger.sightings import Sightings
from facelatch.ledger.store import DAY_MS
from facelatch.values.records import PersonRecord

WARNED_DAYS = 7.0
"""Between warning and forgetting; half the time where that is shorter."""


@dataclass(frozen=True, slots=True)
class Due:
    """Who is to be warned of, and who is to be forgotten."""

    warn: tuple[tuple[PersonRecord, int], ...] = ()
    """Each with the days since the last visit."""
    forget: tuple[PersonRecord, ...] = ()


def due(people: Iterable[PersonRecord], seen: Sightings, now: Moment, days: int) -> Due:
    """Who has not come for `days`, or will soon not have. Nobody while the clock is not set, or `days` is 0.

    Counted from the last visit or the enrolment, and from no earlier than every visit is known. Admins stay: a door
    without any could enrol nobody more.
    """
    if not days or not now.trusted or seen.since is None:
        return Due()
    warned_ms = min(WARNED_DAYS, days / 2) * DAY_MS
    warn, forget = [], []
    for record in people:
        number = record.person.id
        last = max(seen.came.get(number, 0), seen.since, _milliseconds(record.created))
        warned = seen.warned.get(number, 0)
        away = now.wall_ms - last
        if record.person.admin or away < days * DAY_MS - warned_ms:
            continue
        if warned < last:
            warn.append((record, int(away // DAY_MS)))
        elif away >= days * DAY_MS and now.wall_ms - warned >= warned_ms:
            forget.append(record)
    return Due(tuple(warn), tuple(forget))


def _milliseconds(created: str) -> int:
    return int(datetime.strptime(created, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp() * 1000)
