"""Machine: what is seen over time -> granted, refused, locked out. The only place that can say GRANT.

A visit begins when a face is seen and has exactly one outcome.

| state      | input                                     | next (outcome)                                  |
|------------|-------------------------------------------|-------------------------------------------------|
| starting   | a lock-out was in force before            | locked out, served again in full                |
| starting   | none was                                  | idle                                            |
| idle       | nothing new, or no face                   | idle                                            |
| idle       | a face                                    | gathering, as below                             |
| idle       | a face soon after an abandoned visit      | gathering; unmatched goes on from there         |
| gathering  | match of the same person                  | count + 1                                       |
| gathering  | match of another person                   | count 1 for that one; unmatched + 1 (ambiguous) |
| gathering  | judged, no match                          | count 0; unmatched + 1                          |
| gathering  | judged, but nobody is enrolled            | count 0                                         |
| gathering  | unusable, several faces, no face          | count 0                                         |
| gathering  | count reaches `required_matches`          | cooling; refusals forgotten (granted)           |
| gathering  | unmatched reaches `refusal_frames`        | refused; refusals + 1 (refused)                 |
| gathering  | the same, `refusals_before_lockout` times | locked out (refused)                            |
| gathering  | no face for `silence_seconds`             | idle (abandoned); unmatched is remembered       |
| gathering  | interrupted                               | idle (abandoned)                                |
| cooling    | anything, for `cooldown_seconds`          | cooling                                         |
| cooling    | its time is over                          | idle, and the same input counts                 |
| refused    | anything, for `retry_seconds`             | refused                                         |
| refused    | its time is over                          | idle, and the same input counts                 |
| locked out | anything, before its end                  | locked out                                      |
| locked out | its time is over                          | idle, and the same input counts; refusals stay  |

"Soon" is within `lockout_seconds`: stepping aside before the last frame of an attempt must not be a way
around the lock-out, and whoever waits that long has waited one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from facelatch.values.observations import Judged, NoFace, Observation, Reason, SeveralFaces, Unusable, Verdict
from facelatch.values.records import Person, Throttle

if TYPE_CHECKING:
    from facelatch.config.machines import SessionConfig


@dataclass(frozen=True, slots=True)
class Starting:
    """Before the first turn: whether a lock-out was in force before the restart is not looked at yet."""


@dataclass(frozen=True, slots=True)
class Idle:
    """No visit is under way; the next face that is seen begins one."""


@dataclass(frozen=True, slots=True)
class Gathering:
    """A visit is under way: frames are counted for one person, or against the visit."""

    seen: float
    """When a face was last seen, monotonic seconds."""
    person: Person | None = None
    count: int = 0
    """Consecutive frames that matched `person`."""
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
    """Too many visits in a row were refused: until `until` nobody is judged."""

    until: float


Phase = Starting | Idle | Gathering | Cooling | Refused | LockedOut


class Ending(StrEnum):
    """How a visit can end."""

    GRANTED = "granted"
    REFUSED = "refused"
    ABANDONED = "abandoned"


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
class Unfinished:
    """What is remembered of a visit that was abandoned, so that leaving early gains nothing."""

    unmatched: int
    seen: float
    """When that visitor was last seen."""


@dataclass(frozen=True, slots=True)
class Session:
    """The visit now, and the memory of refusals."""

    phase: Phase = Starting()
    throttle: Throttle = Throttle()  # noqa: RUF009  (frozen)
    unfinished: Unfinished | None = None
    outcomes: tuple[Outcome, ...] = ()
    """Visits that ended on this turn: at most two, when one fell silent and the next was decided at once."""

    @property
    def granted(self) -> Outcome | None:
        """The grant of this turn, if there was one."""
        return next((outcome for outcome in self.outcomes if outcome.ending is Ending.GRANTED), None)


def advance(
    session: Session, observation: Observation | None, now: float, settings: SessionConfig
) -> Session:
    """The session after this turn; `observation` is None when no new frame came or it proves nothing."""
    session = _pass_time(replace(session, outcomes=()), now, settings)
    if observation is None or not isinstance(session.phase, Idle | Gathering):
        return session
    if isinstance(observation, NoFace):
        if isinstance(session.phase, Gathering):
            return replace(session, phase=replace(session.phase, person=None, count=0))
        return session
    before = session.phase if isinstance(session.phase, Gathering) else _begin(session, now, settings)
    return _decide(session, _collect(replace(before, seen=now), observation), observation, now, settings)


def interrupt(session: Session, reason: str, hint: str) -> Session:
    """The session when something else takes over: a visit under way is abandoned, all else stays."""
    if not isinstance(session.phase, Gathering):
        return session
    return _abandon(session, session.phase, replace(_abandoned(session.phase), reason=reason, hint=hint))


def _begin(session: Session, now: float, settings: SessionConfig) -> Gathering:
    last = session.unfinished
    soon = last is not None and now - last.seen <= settings.lockout_seconds
    return Gathering(seen=now, unmatched=last.unmatched if last is not None and soon else 0)


def _pass_time(session: Session, now: float, settings: SessionConfig) -> Session:
    match session.phase:
        case Starting() if session.throttle.lockout_seconds > 0:
            seconds = min(session.throttle.lockout_seconds, settings.max_lockout_seconds)
            return replace(session, phase=LockedOut(now + seconds))
        case Starting():
            return replace(session, phase=Idle())
        case Gathering(seen=seen) as visit if now - seen > settings.silence_seconds:
            return _abandon(session, visit, _abandoned(visit))
        case (Cooling(until=until) | Refused(until=until)) if now >= until:
            return replace(session, phase=Idle())
        case LockedOut(until=until) if now >= until:
            return replace(session, phase=Idle(), throttle=replace(session.throttle, lockout_seconds=0.0))
    return session


def _collect(visit: Gathering, observation: SeveralFaces | Unusable | Judged) -> Gathering:
    """The visit with one more frame counted for or against it."""
    if not isinstance(observation, Judged):
        return _doubt(visit, observation.reason)
    verdict = observation.verdict
    if not verdict.matched or verdict.person is None:
        against = verdict.reason is not Reason.NOBODY_ENROLLED
        return _doubt(visit, verdict.reason, verdict if against else None)
    if visit.person is None:
        return replace(visit, person=verdict.person, count=1, advice=None)
    if visit.person.id == verdict.person.id:
        return replace(visit, count=visit.count + 1, advice=None)
    return replace(_doubt(visit, Reason.AMBIGUOUS, verdict), person=verdict.person, count=1)


def _doubt(visit: Gathering, reason: Reason, against: Verdict | None = None) -> Gathering:
    closest = max((v for v in (visit.closest, against) if v), key=lambda v: v.share, default=None)
    tally = {**visit.tally, reason: visit.tally.get(reason, 0) + 1}
    unmatched = visit.unmatched + (against is not None)
    return Gathering(
        seen=visit.seen,
        person=None,
        count=0,
        unmatched=unmatched,
        tally=tally,
        closest=closest,
        advice=reason,
    )


def _decide(
    session: Session, visit: Gathering, observation: Observation, now: float, settings: SessionConfig
) -> Session:
    if visit.person is not None and visit.count >= settings.required_matches:
        verdict = observation.verdict if isinstance(observation, Judged) else None
        granted = Outcome(
            ending=Ending.GRANTED,
            reason=Reason.MATCHED,
            hint=Reason.MATCHED.hint,
            verdict=verdict,
            frames=visit.count,
        )
        cooling = Cooling(visit.person, now + settings.cooldown_seconds)
        return replace(_end(session, cooling, granted), throttle=Throttle())
    if visit.unmatched < settings.refusal_frames:
        return replace(session, phase=visit)
    refusals = session.throttle.refusals + 1
    seconds = _lockout_seconds(refusals, settings)
    phase = LockedOut(now + seconds) if seconds else Refused(now + settings.retry_seconds)
    refused = replace(_abandoned(visit), ending=Ending.REFUSED)
    return replace(_end(session, phase, refused), throttle=Throttle(refusals, seconds))


def _lockout_seconds(refusals: int, settings: SessionConfig) -> float:
    """How long attempts are shut off after this many refusals in a row; 0 for not yet."""
    further = refusals - settings.refusals_before_lockout
    if further < 0:
        return 0.0
    # A factor of 10 would overflow after 300 refusals; 32 steps are past every maximum, or the factor is 1.
    growth = settings.lockout_factor ** min(further, 32)
    return min(settings.lockout_seconds * growth, settings.max_lockout_seconds)


def _abandoned(visit: Gathering) -> Outcome:
    judged = {Reason.NOT_RECOGNISED, Reason.TOO_FEW_DETECTIONS, Reason.AMBIGUOUS}
    decisive = {reason: n for reason, n in visit.tally.items() if reason in judged} or visit.tally
    reason = max(decisive, key=lambda reason: decisive[reason], default=Reason.NO_FACE)
    return Outcome(
        ending=Ending.ABANDONED,
        reason=reason,
        hint=reason.hint,
        verdict=visit.closest,
        frames=sum(visit.tally.values()),
    )


def _abandon(session: Session, visit: Gathering, outcome: Outcome) -> Session:
    return replace(_end(session, Idle(), outcome), unfinished=Unfinished(visit.unmatched, visit.seen))


def _end(session: Session, phase: Phase, outcome: Outcome) -> Session:
    return replace(session, phase=phase, unfinished=None, outcomes=(*session.outcomes, outcome))
