"""Machine: what is seen over time -> granted, refused, locked out. Only it and factors.py can say GRANT.

A visit begins when a face is seen and has exactly one outcome.

| state      | input                                       | next (outcome)                                     |
|------------|---------------------------------------------|----------------------------------------------------|
| starting   | a lock-out was in force before              | locked out, served again in full                   |
| starting   | none was                                    | idle                                               |
| idle       | nothing new, or no face                     | idle                                               |
| idle       | a face                                      | gathering, as below                                |
| idle       | a visitor who has to pause                  | idle                                               |
| idle       | somebody granted who has not been away      | idle; said once (stays)                            |
| gathering  | a picture of either                         | count 0                                            |
| gathering  | match of the same person on the same track  | count + 1                                          |
| gathering  | match of the same person on another track   | count 1                                            |
| gathering  | match of another person                     | count 1 for that one; unmatched + 1 (ambiguous)    |
| gathering  | judged, no match                            | count 0; unmatched + 1                             |
| gathering  | match, but no living face                   | count 0; unmatched + 1                             |
| gathering  | judged, but nobody is enrolled              | count 0                                            |
| gathering  | unusable or no face for `bridge_seconds`    | count stays                                        |
| gathering  | the same for longer                         | count 0                                            |
| gathering  | several faces, or a frame was withheld      | count 0                                            |
| gathering  | count reaches `required_matches`, alive     | cooling; refusals forgotten (granted)              |
| gathering  | the same, in doubt whether alive            | the same: challenge.py holds such a grant back     |
| gathering  | the same, too early to say whether alive    | gathering; count + 1                               |
| gathering  | unmatched reaches `refusal_frames`          | refused; this visitor pauses (refused)             |
| gathering  | the same, and the throttle shuts            | locked out (refused)                               |
| gathering  | no face for `silence_seconds`               | idle (abandoned); unmatched goes to the throttle   |
| gathering  | undecided for UNDECIDED_SECONDS             | the same                                           |
| gathering  | interrupted                                 | the same                                           |
| cooling    | anything, for `cooldown_seconds`            | cooling                                            |
| cooling    | its time is over                            | idle, and the same input counts                    |
| refused    | anything, for `retry_seconds`               | refused                                            |
| refused    | its time is over                            | idle, and the same input counts                    |
| locked out | a face, before its end                      | locked out; said once a visit (turned away)        |
| locked out | its time is over                            | idle, and the same input counts                    |

Who was granted is not granted again before having been out of view for `rearm_seconds`, by whatever track; a face that
the line takes for background counts as in view. Evidence for somebody belongs to one track; evidence against belongs to
the visit, and when that ends to the throttle (throttle.py), so that no way of leaving is a way around it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from facelatch.machines import throttle
from facelatch.machines.throttle import Bucket
from facelatch.values.observations import (
    Judged,
    NoFace,
    Observation,
    Reason,
    SeveralFaces,
    Unusable,
    Verdict,
)
from facelatch.values.records import Throttle

if TYPE_CHECKING:
    from facelatch.config.machines import SessionConfig
from facelatch.machines.presence import may_be_judged, pause, watch_present
from facelatch.machines.session_states import (
    Cooling,
    Ending,
    Gathering,
    Idle,
    LockedOut,
    Outcome,
    Phase,
    Present,
    Refused,
    Session,
    Starting,
)

UNDECIDED_SECONDS = 15.0
"""A visit without an outcome by then is abandoned: a picture on the wall must not hold up the next visitor for ever."""


def advance(
    session: Session,
    observation: Observation | None,
    now: float,
    settings: SessionConfig,
    background: Collection[int] = (),
) -> Session:
    """The session after this turn; `observation` is None when no new frame came or it proves nothing.

    `background` names the tracks in view that have not moved since their visit ended: they are seen, not judged.
    """
    session = replace(session, outcomes=(), ended_tracks=())
    session = watch_present(_pass_time(session, now, settings), observation, now, settings, background)
    if observation is None:
        return session
    if isinstance(session.phase, LockedOut) and not isinstance(observation, NoFace):
        return _turn_away(session, session.phase, now, settings)
    if not isinstance(session.phase, Idle | Gathering):
        return session
    if isinstance(observation, NoFace):
        if isinstance(session.phase, Gathering):
            return replace(session, phase=_bridge(session.phase, now, settings))
        return session
    if isinstance(observation, Judged) and not may_be_judged(session, observation, now):
        return withhold(session)  # it is no evidence, but it is somebody else than whoever is counted
    before = session.phase if isinstance(session.phase, Gathering) else Gathering(began=now, seen=now)
    visit = _collect(replace(before, seen=now), observation, now, settings)
    return _decide(session, visit, observation, now, settings)


def interrupt(session: Session, reason: str, hint: str, now: float, settings: SessionConfig) -> Session:
    """The session when something else takes over: a visit under way is abandoned, all else stays."""
    if not isinstance(session.phase, Gathering):
        return session
    outcome = replace(_abandoned(session.phase), reason=reason, hint=hint)
    return _leave(session, session.phase, outcome, now, settings)


def withhold(session: Session) -> Session:
    """The session when a new frame could not be looked at: frames after it do not follow those before."""
    if not isinstance(session.phase, Gathering):
        return session
    return replace(session, phase=replace(session.phase, person=None, count=0))


def forgive(session: Session) -> Session:
    """The session with all refusals forgotten, as after a grant: asked for by somebody who may."""
    phase = Idle() if isinstance(session.phase, LockedOut) else session.phase
    return replace(session, phase=phase, bucket=Bucket(), throttle=Throttle(), pausing=None)


def begun(session: Session, now: float, settings: SessionConfig) -> Session:
    """The session with what it remembers from before a restart; the same from the second turn on."""
    if not isinstance(session.phase, Starting):
        return session
    return replace(session, phase=Idle(), bucket=throttle.restored(session.throttle, now, settings))


def put_off(session: Session, before: Session, ending: Ending, reason: str, hint: str) -> Session:
    """The session when whoever it granted on this turn is not let in, or not yet: what was counted against visitors
    stays as it was `before`. A face alone must not clear the way for guessing at PINs."""
    outcomes = tuple(
        replace(one, ending=ending, reason=reason, hint=hint) if one.ending is Ending.GRANTED else one
        for one in session.outcomes
    )
    return replace(
        session, outcomes=outcomes, bucket=before.bucket, throttle=before.throttle, pausing=before.pausing
    )


def count_attempt(session: Session, now: float, settings: SessionConfig) -> Session:
    """The session after one refused attempt that was no frame: a wrong PIN or card. It may be locked out then."""
    return _with_bucket(session, throttle.add(session.bucket, settings.refusal_frames, now, settings), settings)


def _pass_time(session: Session, now: float, settings: SessionConfig) -> Session:
    session = begun(session, now, settings)
    session = _with_bucket(session, throttle.pass_time(session.bucket, now, settings), settings)
    match session.phase:
        case Gathering(seen=seen, began=began) as visit if (
            now - seen > settings.silence_seconds or now - began > UNDECIDED_SECONDS
        ):
            return _leave(session, visit, _abandoned(visit), now, settings)
        case Cooling(until=until) | Refused(until=until) if now >= until:
            return replace(session, phase=Idle())
    return session


def _with_bucket(session: Session, bucket: Bucket, settings: SessionConfig) -> Session:
    """`session` with the throttle as it is now, locked out or open as that says."""
    phase = session.phase
    if bucket.shut_until is None:
        phase = Idle() if isinstance(phase, LockedOut) else phase
    elif not isinstance(phase, LockedOut):
        phase = LockedOut(bucket.shut_until)
    return replace(session, phase=phase, bucket=bucket, throttle=throttle.remembered(bucket, settings))


def _turn_away(session: Session, phase: LockedOut, now: float, settings: SessionConfig) -> Session:
    """Somebody in view during a lock-out is a visit that ends as it begins, once."""
    new = phase.visitor_seen is None or now - phase.visitor_seen > settings.silence_seconds
    session = replace(session, phase=replace(phase, visitor_seen=now))
    if not new:
        return session
    hint = f"no attempts for {max(0.0, phase.until - now):.0f} s after too many refusals"
    outcome = Outcome(ending=Ending.TURNED_AWAY, reason="locked_out", hint=hint, verdict=None, frames=0)
    return replace(session, outcomes=(*session.outcomes, outcome))


def _bridge(visit: Gathering, now: float, settings: SessionConfig) -> Gathering:
    """A frame that says nothing about who is there: what was counted outlives it for a moment only."""
    if now - visit.matched <= settings.bridge_seconds:
        return visit
    return replace(visit, person=None, count=0)


def _collect(
    visit: Gathering, observation: SeveralFaces | Unusable | Judged, now: float, settings: SessionConfig
) -> Gathering:
    """The visit with one more frame counted for or against it."""
    if isinstance(observation, SeveralFaces):
        return _doubt(visit, observation.reason)
    if isinstance(observation, Unusable):
        visit = _bridge(visit, now, settings)
        tally = {**visit.tally, observation.reason: visit.tally.get(observation.reason, 0) + 1}
        return replace(visit, tally=tally, advice=observation.reason)
    verdict = observation.verdict
    followed = observation.track == visit.track and now - visit.matched <= settings.silence_seconds
    visit = replace(visit, track=observation.track)
    if not verdict.matched or verdict.person is None:
        against = verdict.reason is not Reason.NOBODY_ENROLLED
        return _doubt(visit, verdict.reason, verdict if against else None)
    if observation.proof.speaks_against:
        return _doubt(visit, Reason(observation.proof.value), verdict)
    if visit.person is not None and visit.person.id != verdict.person.id:
        visit = _doubt(visit, Reason.AMBIGUOUS, verdict)
    count = visit.count + 1 if visit.person is not None and followed else 1
    return replace(visit, person=verdict.person, count=count, matched=now, advice=None)


def _doubt(visit: Gathering, reason: Reason, against: Verdict | None = None) -> Gathering:
    closest = max((v for v in (visit.closest, against) if v), key=lambda v: v.share, default=None)
    return replace(
        visit,
        person=None,
        count=0,
        unmatched=visit.unmatched + (against is not None),
        tally={**visit.tally, reason: visit.tally.get(reason, 0) + 1},
        closest=closest,
        advice=reason,
    )


def _decide(
    session: Session, visit: Gathering, observation: Observation, now: float, settings: SessionConfig
) -> Session:
    if visit.track is not None and _may_be_granted(visit, observation, settings):
        assert visit.person is not None
        verdict = observation.verdict if isinstance(observation, Judged) else None
        granted = Outcome(
            ending=Ending.GRANTED,
            reason=Reason.MATCHED,
            hint=Reason.MATCHED.hint,
            verdict=verdict,
            frames=visit.count,
        )
        session = _end(
            forgive(session), visit, Cooling(visit.person, now + settings.cooldown_seconds), granted
        )
        newcomer = Present(person=visit.person, track=visit.track, seen=now)
        others = tuple(one for one in session.present if one.person.id != visit.person.id)
        return replace(session, present=(*others, newcomer))
    if visit.unmatched < settings.refusal_frames:
        return replace(session, phase=visit)
    refused = replace(_abandoned(visit), ending=Ending.REFUSED)
    session = _end(session, visit, Refused(now + settings.retry_seconds), refused)
    session = replace(session, pausing=pause(session.pausing, visit.track or 0, now, settings))
    return _charge(session, visit, now, settings)


def _may_be_granted(visit: Gathering, observation: Observation, settings: SessionConfig) -> bool:
    """Enough matches of one person, and a living face or one in doubt, which the controller asks to turn the head."""
    enough = visit.person is not None and visit.count >= settings.required_matches
    return enough and isinstance(observation, Judged) and observation.proof.may_be_recognised


def _charge(session: Session, visit: Gathering, now: float, settings: SessionConfig) -> Session:
    """The frames against a visit that has ended go to the throttle, which may shut."""
    return _with_bucket(session, throttle.add(session.bucket, visit.unmatched, now, settings), settings)


def _abandoned(visit: Gathering) -> Outcome:
    judged = {Reason.NOT_RECOGNISED, Reason.TOO_FEW_DETECTIONS, Reason.AMBIGUOUS}
    judged |= {Reason.FLAT, Reason.SCREEN, Reason.NO_MOTION, Reason.NOT_LIVE}
    decisive = {reason: n for reason, n in visit.tally.items() if reason in judged} or visit.tally
    reason = max(decisive, key=lambda reason: decisive[reason], default=Reason.NO_FACE)
    return Outcome(
        ending=Ending.ABANDONED,
        reason=reason,
        hint=reason.hint,
        verdict=visit.closest,
        frames=sum(visit.tally.values()),
    )


def _leave(
    session: Session, visit: Gathering, outcome: Outcome, now: float, settings: SessionConfig
) -> Session:
    return _charge(_end(session, visit, Idle(), outcome), visit, now, settings)


def _end(session: Session, visit: Gathering, phase: Phase, outcome: Outcome) -> Session:
    ended = (*session.ended_tracks, visit.track or 0)
    return replace(session, phase=phase, outcomes=(*session.outcomes, outcome), ended_tracks=ended)
