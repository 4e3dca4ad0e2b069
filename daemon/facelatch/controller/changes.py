"""What changed between two states of a machine, as audit events. Nothing else makes events of the machines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from facelatch.audit.events import Event, EventKind, Value, fault
from facelatch.machines import door, enrolment_states, session_states
from facelatch.values.observations import Verdict
from facelatch.values.records import Person

_ENDINGS = {
    session_states.Ending.GRANTED: EventKind.VISIT_GRANTED,
    session_states.Ending.REFUSED: EventKind.VISIT_REFUSED,
    session_states.Ending.ABANDONED: EventKind.VISIT_ABANDONED,
    session_states.Ending.TURNED_AWAY: EventKind.VISIT_TURNED_AWAY,
    session_states.Ending.DENIED: EventKind.SCHEDULE_DENIED,
}

_WITH_IMAGES = enrolment_states.Capturing | enrolment_states.Confirming | enrolment_states.Saving

_FAULT_HINTS = {
    "camera_stale": "no frame for camera.stale_after_seconds: check the cable, `facelatch check` tries the camera",
    "camera_failed": "check the cable, `facelatch check` tries the camera",
    "picture_frozen": "the camera repeats one picture for camera.frozen_after_seconds: power it off and on",
}


@dataclass(frozen=True, slots=True)
class Context:
    """What visit events carry besides: which model judged, how old its frame was, how long to be away."""

    model: str
    frame_age_seconds: float
    rearm_seconds: float

    @property
    def fields(self) -> dict[str, Value]:
        """As event fields; an age that is no number (no frame yet) is left out."""
        age = self.frame_age_seconds
        fields: dict[str, Value] = {"MODEL": self.model} if self.model else {}
        return fields | ({"FRAME_AGE_MS": round(age * 1000)} if 0 <= age < 1e6 else {})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an enrolment by the camera is to bring."""

    references: int
    proven: bool
    """Whether every picture has to show a living face."""


def of_fault(code: str, context: Context) -> Event:
    """The fault that has just come up."""
    age = {key: value for key, value in context.fields.items() if key != "MODEL"}
    return fault(code, _FAULT_HINTS.get(code, ""), **age)


def of_session(
    before: session_states.Session,
    after: session_states.Session,
    now: float,
    purpose: str,
    context: Context,
) -> Iterator[Event]:
    """Visits that ended, lock-outs that began or ended, and who stays."""
    was, now_is = before.phase, after.phase
    locked_out = isinstance(was, session_states.LockedOut), isinstance(now_is, session_states.LockedOut)
    if locked_out == (True, False):
        yield Event(EventKind.LOCKOUT_ENDED, {"COUNT": after.throttle.refusals})
    for outcome in after.outcomes:
        if outcome.ending is not session_states.Ending.RECOGNISED:  # told by the second factor
            yield _visit(outcome, purpose, context)
    if isinstance(now_is, session_states.LockedOut) and not locked_out[0]:
        seconds = round(now_is.until - now, 1)
        yield Event(EventKind.LOCKOUT_STARTED, {"SECONDS": seconds, "COUNT": after.throttle.refusals})
    known = {one.person.id for one in before.present if one.said}
    for one in after.present:
        if one.said and one.person.id not in known:
            yield Event(EventKind.VISIT_STAYS, {**names(one.person), "SECONDS": context.rearm_seconds})


def _visit(outcome: session_states.Outcome, purpose: str, context: Context) -> Event:
    verdict, fields = outcome.verdict, {"COUNT": outcome.frames, **context.fields}
    if verdict is not None:
        fields |= _shares(verdict)
    if outcome.ending is session_states.Ending.GRANTED:
        person = verdict.person if verdict is not None else None
        fields |= {"PURPOSE": purpose, **names(person)}
    else:
        fields |= {"REASON": str(outcome.reason), "HINT": outcome.hint}
        if outcome.ending is session_states.Ending.DENIED and verdict is not None:
            fields |= names(verdict.person)
        elif verdict is not None and verdict.person is not None:
            fields["NEAREST"] = verdict.person.name
    return Event(_ENDINGS[outcome.ending], fields)


def of_door(
    before: door.Door, after: door.Door, now: float, person: Person | str | None, reason: str
) -> Iterator[Event]:
    """Unlocked (for `person`, or whoever is named), unlocked for them for longer, or locked (because of `reason`)."""
    held_open = isinstance(before, door.Unlocked) and isinstance(after, door.Unlocked) and person is None
    if before == after or held_open:
        return
    if isinstance(after, door.Unlocked):
        seconds = round(after.until - now, 3)
        yield Event(EventKind.DOOR_UNLOCKED, {**names(person), "SECONDS": seconds})
    elif isinstance(before, door.Unlocked):
        seconds = round(now - before.first, 3)
        yield Event(EventKind.DOOR_LOCKED, {"REASON": reason, "SECONDS": seconds})


def of_enrolment(
    before: enrolment_states.Enrolment, after: enrolment_states.Enrolment, wanted: Wanted, now: float
) -> Iterator[Event]:
    """The steps of an enrolment; call it after each single input."""
    if before is after:
        return
    match before, after:
        case enrolment_states.Idle() | enrolment_states.Failed() | enrolment_states.Done(), _:
            yield from _begun(after, now)
        case enrolment_states.Authorising(), enrolment_states.Armed(authoriser=admin):
            yield Event(EventKind.ENROLMENT_AUTHORISED, names(admin))
            yield from _begun(after, now)
        case enrolment_states.Saving(request=request), enrolment_states.Done(person=person, references=count):
            fields: dict[str, Value] = {"COUNT": count, "ORIGIN": request.origin.value}
            fields["LIVENESS"] = "proven" if wanted.proven else "unproven"
            if request.person is None:
                yield Event(EventKind.ENROLMENT_SAVED, names(person) | fields)
            else:
                how = "replaced" if request.replace else "added"
                yield Event(EventKind.REFERENCES_CHANGED, names(person) | fields | {"REASON": how})
        case (
            enrolment_states.Saving(),
            enrolment_states.Failed(failure=enrolment_states.Failure.SAVE_FAILED as failure, detail=detail),
        ):
            fields = {"REASON": detail or failure.value, "HINT": failure.hint}
            yield Event(EventKind.ENROLMENT_SAVE_FAILED, fields)
        case _, enrolment_states.Failed():
            yield _aborted(before, after)
        case (
            _,
            enrolment_states.Capturing() | enrolment_states.Confirming() | enrolment_states.Saving(),
        ):
            yield from _progress(before, after, wanted.references)


def _begun(after: enrolment_states.Enrolment, now: float) -> Iterator[Event]:
    match after:
        case enrolment_states.Armed(request=request, until=until):
            fields: dict[str, Value] = {"REASON": request.origin.value, "SECONDS": round(until - now, 1)}
            named: dict[str, Value] = {"PERSON": request.name} if request.name is not None else {}
            yield Event(EventKind.ENROLMENT_ARMED, fields | named)
        case enrolment_states.Authorising(request=request, until=until):
            fields = {"REASON": request.origin.value, "SECONDS": round(until - now, 1)}
            yield Event(EventKind.ENROLMENT_AUTHORISING, fields)
        case enrolment_states.Failed():
            yield _aborted(None, after)


def _aborted(before: enrolment_states.Enrolment | None, after: enrolment_states.Failed) -> Event:
    indistinct = after.failure is enrolment_states.Failure.INDISTINCT
    fields: dict[str, Value] = {
        "REASON": after.failure.value,
        "HINT": after.detail if indistinct and after.detail else after.failure.hint,
        "COUNT": len(before.kept) if isinstance(before, _WITH_IMAGES) else 0,
    }
    duplicate = after.failure is enrolment_states.Failure.DUPLICATE
    return Event(EventKind.ENROLMENT_ABORTED, fields | ({"NEAREST": after.detail} if duplicate else {}))


def _progress(
    before: enrolment_states.Enrolment,
    after: enrolment_states.Capturing | enrolment_states.Confirming | enrolment_states.Saving,
    wanted: int,
) -> Iterator[Event]:
    known = before.lookalike if isinstance(before, _WITH_IMAGES) else None
    had = len(before.kept) if isinstance(before, _WITH_IMAGES) else 0
    has = len(after.kept)
    if has > had:
        yield Event(EventKind.ENROLMENT_PROGRESS, {"COUNT": has, "REFERENCES": wanted})
    close = after.lookalike
    if close is not None and known is None and close.person is not None:
        yield Event(EventKind.ENROLMENT_LOOKALIKE, {"NEAREST": close.person.name, **_shares(close)})


def names(person: Person | str | None) -> dict[str, Value]:
    """The fields of an event that say whom it is about."""
    if isinstance(person, str):
        return {"PERSON": person}
    return {"PERSON": person.name, "PERSON_ID": person.id} if person is not None else {"PERSON": "?"}


def _shares(verdict: Verdict) -> dict[str, Value]:
    return {
        "SIMILARITY_SHARE": round(verdict.share, 3),
        "DETECTIONS": verdict.detections,
        "REFERENCES": verdict.references,
    }
