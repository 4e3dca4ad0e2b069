"""The states of a session and what is remembered between visits: nouns of session.py and presence.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from facelatch.machines.throttle import Bucket
from facelatch.values.observations import (
    Reason,
    Verdict,
)
from facelatch.values.records import Person, Throttle

if TYPE_CHECKING:
    pass



@dataclass(frozen=True, slots=True)
class ForgetRefusals:
    """A request to end a lock-out and forget what led to it."""


@dataclass(frozen=True, slots=True)
class Starting:
    """Before the first turn: whether a lock-out was in force before the restart is not looked at yet."""


@dataclass(frozen=True, slots=True)
class Idle:
    """No visit is under way; the next face that is seen begins one."""


@dataclass(frozen=True, slots=True)
class Gathering:
    """A visit is under way: frames are counted for one person, or against the visit."""

    began: float
    """Monotonic seconds, as all times here."""
    seen: float
    """When a face was last seen."""
    person: Person | None = None
    track: int | None = None
    """The newest judged track."""
    count: int = 0
    """Consecutive judged frames of `track` that matched `person`."""
    matched: float = 0.0
    """When the newest of them was seen."""
    unmatched: int = 0
    """Judged frames of this visit that were evidence against it."""
    tally: Mapping[Reason, int] = field(default_factory=dict)
    """How often each reason not to match came up."""
    closest: Verdict | None = None
    """The unmatched verdict with the greatest share."""
    advice: Reason | None = None
    """Why the newest frame did not match; None when it did."""


@dataclass(frozen=True, slots=True)
class Cooling:
    """A visit was granted; until `until` no new one begins."""

    person: Person
    until: float


@dataclass(frozen=True, slots=True)
class Refused:
    """A visit was refused; until `until` no new one begins."""

    until: float


@dataclass(frozen=True, slots=True)
class LockedOut:
    """Too much evidence against visitors lately: until `until` nobody is judged."""

    until: float
    visitor_seen: float | None = None
    """When somebody was last in view meanwhile; None: nobody was yet."""

Phase = Starting | Idle | Gathering | Cooling | Refused | LockedOut


class Ending(StrEnum):
    """How a visit can end."""

    GRANTED = "granted"
    REFUSED = "refused"
    ABANDONED = "abandoned"
    TURNED_AWAY = "turned_away"
    """It fell into a lock-out and was not judged."""
    DENIED = "denied"
    """Somebody was recognised who may not come now."""
    RECOGNISED = "recognised"
    """Somebody was recognised, and something else is asked for besides."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one visit ended."""

    ending: Ending
    reason: str
    hint: str
    verdict: Verdict | None
    """The match; on refusals whatever came closest."""
    frames: int
    """How many frames decided it."""


@dataclass(frozen=True, slots=True)
class Present:
    """Somebody who was granted and has not been out of view since."""

    person: Person
    track: int
    seen: float
    said: bool = False
    """Whether it was said that this person stays."""


@dataclass(frozen=True, slots=True)
class Pausing:
    """A refused visitor, who is not judged again for a while."""

    track: int
    refusals: int
    """How many in a row."""
    until: float


@dataclass(frozen=True, slots=True)
class Session:
    """The visit now, and what is remembered of those before."""

    phase: Phase = Starting()
    throttle: Throttle = Throttle()  # noqa: RUF009  (frozen)
    """What has to survive a restart of `bucket`."""
    bucket: Bucket = Bucket()  # noqa: RUF009
    present: tuple[Present, ...] = ()
    pausing: Pausing | None = None
    outcomes: tuple[Outcome, ...] = ()
    """Visits that ended on this turn: at most two, when one fell silent and the next was decided at once."""
    ended_tracks: tuple[int, ...] = ()
    """Tracks whose visit ended on this turn; 0 for a face that was never judged."""

    @property
    def granted(self) -> Outcome | None:
        """The grant of this turn, if there was one."""
        return next((outcome for outcome in self.outcomes if outcome.ending is Ending.GRANTED), None)
