"""The states of all machines, told to people: which patterns apply, and one line of status."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from facelatch.controller.site import Site
from facelatch.machines import challenge, factors, session_states
from facelatch.machines import enrolment_states as enrolment
from facelatch.machines.button import Position
from facelatch.machines.camera_watch import CameraWatch
from facelatch.machines.door import Door, Unlocked
from facelatch.machines.enrolment_states import Enrolment, Failure
from facelatch.machines.indicator import Pattern
from facelatch.site.mode import Mode
from facelatch.site.passage import Stage
from facelatch.values.observations import Reason

KEPT_SECONDS = 0.25
"""How long the flash for a kept image lasts; shorter than the least time between two."""
REFUSED_SECONDS = 1.6
"""How long a refusal is shown."""

_FAILURES = {
    Failure.DUPLICATE: Pattern.ALREADY_ENROLLED,
    Failure.TOO_LITTLE_MOVEMENT: Pattern.MOVE_MORE,
    Failure.SECOND_FACE: Pattern.SECOND_PERSON,
    Failure.ANOTHER_PERSON: Pattern.SECOND_PERSON,
    Failure.NOT_ADMIN: Pattern.NOT_AUTHORISED,
    Failure.NO_ADMIN: Pattern.NOT_AUTHORISED,
    Failure.CAMERA_TURNED: Pattern.NOT_READABLE,
    Failure.INDISTINCT: Pattern.NOT_READABLE,
    Failure.NOT_LIVE: Pattern.NOT_READABLE,
    Failure.SAVE_FAILED: Pattern.NOT_SAVED,
}


_LOCKED_OUT = (
    (60.0, Pattern.LOCKED_OUT),
    (300.0, Pattern.LOCKED_OUT_LONG),
    (float("inf"), Pattern.LOCKED_OUT_LONGER),
)
"""Which pattern shows a lock-out with at most so many seconds left."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What the projections need of a state."""

    now: float
    session: session_states.Session
    door: Door
    enrolment: Enrolment
    button: Position
    fault: str | None
    stopping: bool
    refused_until: float
    people_enrolled: int
    wanted: int
    """Images of a complete enrolment."""
    factors: factors.Factors = factors.Factors()  # noqa: RUF009  (frozen)
    challenge: challenge.Challenge = challenge.Challenge()  # noqa: RUF009
    not_now_until: float = 0.0
    site: Site = Site()  # noqa: RUF009  (frozen, as the next)
    camera: CameraWatch = CameraWatch()  # noqa: RUF009
    aiming: bool = False
    """Whether somebody may see the camera's picture."""

    @property
    def asks_factor(self) -> bool:
        """Whether somebody is to enter a PIN or hold up a card."""
        return isinstance(self.factors.phase, factors.Awaiting | factors.Checking)


@dataclass(frozen=True, slots=True)
class EnrolmentView:
    """An enrolment for the command line."""

    state: str
    """idle, authorising, armed, capturing, confirming, saving, done or failed."""
    kept: int
    wanted: int
    person: str | None = None
    """The new person, if named; after a duplicate whoever it is."""
    reason: str | None = None
    hint: str = ""
    lookalike: str | None = None
    """Who is enrolled already and looks so much alike that it is worth a question."""


def patterns(of: Situation) -> Iterator[Pattern]:
    """Every pattern that applies; indicator.choose knows which comes first."""
    if of.fault is not None:
        yield Pattern.FAULT
    yield from _site_patterns(of)
    yield from _enrolment_patterns(of.enrolment, of.now)
    if of.button is Position.IGNORED:
        yield Pattern.BUTTON_STUCK
    if of.aiming and not _answers_a_visitor(of):
        yield Pattern.AIMING
    if isinstance(of.door, Unlocked):
        yield Pattern.UNLOCKED
    if of.asks_factor:
        yield Pattern.ASKS_FACTOR
    yield from _asked_patterns(of.challenge)
    if of.now < of.not_now_until:
        yield Pattern.NOT_NOW
    if of.now < of.refused_until:
        yield Pattern.REFUSED
    match of.session.phase:
        case session_states.LockedOut(until=until):
            left = until - of.now
            yield next(pattern for limit, pattern in _LOCKED_OUT if left <= limit)
        case session_states.Gathering(advice=advice):
            judged = advice in (
                None,
                Reason.NOT_RECOGNISED,
                Reason.TOO_FEW_DETECTIONS,
                Reason.NOBODY_ENROLLED,
            )
            yield Pattern.LOOKING if judged else Pattern.UNCLEAR
    yield Pattern.READY if of.people_enrolled else Pattern.NOBODY_ENROLLED


_SIDES = {challenge.Side.LEFT: Pattern.TURN_LEFT, challenge.Side.RIGHT: Pattern.TURN_RIGHT}


def _asked_patterns(of: challenge.Challenge) -> Iterator[Pattern]:
    match of.phase:
        case challenge.Straight():
            yield Pattern.LOOK_STRAIGHT
        case challenge.Asked(request=request):
            yield _SIDES[request.side]


_MODES = {
    Mode.FREE: (Pattern.FREE, "unlocked: free passage"),
    Mode.ARMED: (None, "locked: free passage begins with the first who comes in"),
    Mode.LOCKED: (Pattern.NOBODY_LET_IN, "locked: nobody is let in, by request"),
    Mode.LOCKDOWN: (Pattern.LOCKDOWN, "locked: lockdown"),
}


def _answers_a_visitor(of: Situation) -> bool:
    """Whether somebody is being told something that is over in seconds; all else gives way to being seen."""
    return isinstance(of.door, Unlocked) or of.asks_factor or of.now < max(of.not_now_until, of.refused_until)


def _site_patterns(of: Situation) -> Iterator[Pattern]:
    if of.site.alarm.sounding:
        yield Pattern.ALARM
    if of.site.fire:
        yield Pattern.FIRE
    if not of.camera.seeing:
        yield Pattern.CAMERA_LOST
    if of.site.passage.stage in (Stage.WARNED, Stage.HELD):
        yield Pattern.CLOSE_THE_DOOR
    pattern, _ = _MODES.get(of.site.mode.mode, (None, ""))
    if pattern is not None:
        yield pattern


def _enrolment_patterns(state: Enrolment, now: float) -> Iterator[Pattern]:
    match state:
        case enrolment.Authorising():
            yield Pattern.AUTHORISING
        case enrolment.Armed():
            yield Pattern.ARMED
        case enrolment.Capturing(kept_at=kept_at):
            yield Pattern.KEPT if now - kept_at < KEPT_SECONDS else Pattern.CAPTURING
        case enrolment.Confirming():
            yield Pattern.CONFIRM
        case enrolment.Saving():
            yield Pattern.SAVING
        case enrolment.Done():
            yield Pattern.ENROLLED
        case enrolment.Failed(failure=failure):
            yield _FAILURES.get(failure, Pattern.NOT_ENROLLED)


def status(of: Situation) -> str:
    """One line on what the door is doing, without names: systemd shows it to everybody."""
    if of.fault is not None:
        return f"locked: fault {of.fault}"
    if of.stopping:
        return "locked: stopping"
    view = enrolment_view(of.enrolment, of.wanted)
    if view.state != "idle":
        hint = of.enrolment.failure.hint if isinstance(of.enrolment, enrolment.Failed) else view.hint
        return f"locked: enrolment {view.state}, {view.kept} of {view.wanted} images kept. {hint}".rstrip()
    if isinstance(of.door, Unlocked):
        return "unlocked"
    if of.site.mode.mode in _MODES:
        return _MODES[of.site.mode.mode][1]
    if not of.camera.seeing:
        return f"locked: {of.camera.code}, the camera is opened again (try {of.camera.tries})"
    if of.asks_factor:
        return "locked: waiting for a PIN or a card"
    if (request := of.challenge.request) is not None:
        return f"locked: asking for a turn of the head, {request.answered} of {len(request.sides)} answered"
    match of.session.phase:
        case session_states.LockedOut(until=until):
            return f"locked: no attempts for {max(0.0, until - of.now):.0f} s after too many refusals"
        case session_states.Gathering(advice=advice):
            return "locked: looking at somebody" + (f": {advice.hint}" if advice is not None else "")
    people = "1 person" if of.people_enrolled == 1 else f"{of.people_enrolled or 'no'} people"
    return f"locked: {people} enrolled"


def lockout_view(state: session_states.Session, now: float) -> dict[str, float]:
    """How the refusals stand: how many are not forgotten yet, and how long nobody is judged."""
    until = state.bucket.shut_until
    seconds = max(0.0, until - now) if until is not None else 0.0
    return {"refusals": state.throttle.refusals, "seconds": round(seconds, 1)}


def enrolment_view(state: Enrolment, wanted: int) -> EnrolmentView:
    """What the command line shows of an enrolment."""
    name = type(state).__name__.lower()
    match state:
        case enrolment.Authorising(request=request) | enrolment.Armed(request=request):
            return EnrolmentView(state=name, kept=0, wanted=wanted, person=request.name)
        case enrolment.Confirming(request=request, kept=kept):
            return EnrolmentView(
                state=name,
                kept=len(kept),
                wanted=wanted,
                person=request.name,
                hint="press the button to confirm",
                lookalike=_lookalike(state),
            )
        case enrolment.Capturing(request=request, kept=kept) | enrolment.Saving(request=request, kept=kept):
            return EnrolmentView(
                state=name, kept=len(kept), wanted=wanted, person=request.name, lookalike=_lookalike(state)
            )
        case enrolment.Done(person=person, references=count):
            return EnrolmentView(state=name, kept=count, wanted=wanted, person=person.name)
        case enrolment.Failed(failure=failure, detail=detail):
            already = detail if failure is Failure.DUPLICATE else None
            said = detail and failure is not Failure.DUPLICATE
            hint = f"{detail}: {failure.hint}" if said else failure.hint
            return EnrolmentView(
                state=name, kept=0, wanted=wanted, person=already, reason=failure.value, hint=hint
            )
    return EnrolmentView(state=name, kept=0, wanted=wanted)


def _lookalike(state: enrolment.Capturing | enrolment.Confirming | enrolment.Saving) -> str | None:
    close = state.lookalike.person if state.lookalike is not None else None
    return close.name if close is not None else None
