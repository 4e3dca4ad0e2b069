"""Joins the machines: (state, inputs) -> (state, outputs). Pure; a test is a list of inputs and a list of outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from facelatch.audit.events import Event, EventKind
from facelatch.config.file import Config
from facelatch.controller import changes, situation
from facelatch.controller.situation import EnrolmentView
from facelatch.machines import button, door, enrolment, freshness, indicator, session
from facelatch.machines.button import Gesture
from facelatch.machines.door import Order
from facelatch.machines.enrolment_states import (
    AbortEnrolment,
    Authorising,
    Capturing,
    Enrolment,
    Failure,
    Granted,
    Idle,
    Input,
    Origin,
    Saved,
    SaveFailed,
    Saving,
    StartEnrolment,
)
from facelatch.machines.indicator import Pattern
from facelatch.machines.session import Ending
from facelatch.values.observations import Observation
from facelatch.values.records import NewPerson, Person, Throttle
from facelatch.values.wires import Edge, LockLevel

__all__ = ["AbortEnrolment", "Command", "Inputs", "Outputs", "SaveFailed", "Saved", "StartEnrolment", "State"]

Command = StartEnrolment | AbortEnrolment
"""What the control socket may ask of the machines."""


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """All that one turn of the loop brought in."""

    now: float
    """Monotonic seconds; never smaller than on the turn before."""
    observation: Observation | None
    """What the line says about the new frame; None when none came."""
    fingerprint: int | None
    """Of the new frame's whole picture; None when none came. Without it an observation is no evidence."""
    frame_age_seconds: float
    """Age of the newest frame, whether new on this turn or not; since the start when none has come yet."""
    edges: tuple[Edge, ...] = ()
    commands: tuple[Command, ...] = ()
    saved: Saved | SaveFailed | None = None
    """The answer to `Outputs.save` of the turn before."""
    fault: str | None = None
    """A stable code when something broke outside (camera_failed, internal)."""
    stopping: bool = False
    people_enrolled: int = 0
    admins: frozenset[int] = frozenset()
    """Ids of the enrolled people who may authorise an enrolment."""


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """All that the loop has to do about it."""

    lock: LockLevel
    pattern: Pattern
    pattern_since: float
    """When the pattern began, for `indicator.lamp`."""
    events: tuple[Event, ...]
    save: NewPerson | None
    """To be saved in one transaction; the answer goes into the next `Inputs.saved`."""
    throttle: Throttle | None
    """To be persisted, because it changed."""
    fault: str | None
    """Fatal: the door is locked and the event written; the process should end and be restarted."""
    status: str
    """One line on what the door is doing."""


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """Everything that is remembered from turn to turn."""

    session: session.Session
    model: str = ""
    """First digits of the model's hash, for events."""
    door: door.Door = door.Locked()  # noqa: RUF009  (frozen and empty, as the others)
    enrolment: Enrolment = Idle()  # noqa: RUF009
    button: button.Button = button.Button()  # noqa: RUF009
    freshness: freshness.Freshness = freshness.Freshness()  # noqa: RUF009
    fault: str | None = None
    """Once set it stays."""
    stopping: bool = False
    refused_until: float = 0.0
    """Until when the indicator shows the last refusal."""
    pattern: Pattern = Pattern.NOBODY_ENROLLED
    pattern_since: float = 0.0


def initial(throttle: Throttle, model: str = "") -> State:
    """The state before the first turn, with the refusals remembered from before the restart."""
    return State(session=session.Session(throttle=throttle), model=model)


def draft_embeddings(state: State) -> tuple[NDArray[np.float32], ...]:
    """Embeddings (D,) of the crops an enrolment has kept so far, for the line's `draft_share`."""
    kept = state.enrolment.kept if isinstance(state.enrolment, Capturing) else ()
    return tuple(reference.embedding for reference in kept)


def enrolment_view(state: State, settings: Config) -> EnrolmentView:
    """The enrolment, for the control socket."""
    return situation.enrolment_view(state.enrolment, settings.enrolment.references)


def step(state: State, inputs: Inputs, settings: Config) -> tuple[State, Outputs]:
    """One turn. Total: whatever comes in, an answer comes out, and in doubt it is a locked door."""
    now = inputs.now
    fresh = freshness.advance(state.freshness, inputs.fingerprint, now, settings.camera)
    pressed = button.advance(state.button, inputs.edges, now, settings.enrolment)
    fault = state.fault or _fault(inputs, fresh, settings)
    stopping = state.stopping or inputs.stopping
    halt = Failure.FAULT if fault is not None else Failure.STOPPING if stopping else None
    observation = inputs.observation if fresh.fresh and halt is None else None

    visit = session.advance(
        state.session, observation if _may_decide(state, inputs, pressed) else None, now, settings.session
    )
    enrolled, steps = _enrol(state, inputs, settings, _heard(inputs, pressed, halt, visit, observation))
    if halt is not None or _takes_over(state.enrolment, enrolled):
        reason = halt.value if halt is not None else "enrolment"
        visit = session.interrupt(visit, reason, "the visit was cut short")
    at_rest = halt is None and isinstance(state.enrolment, Idle) and isinstance(enrolled, Idle)
    order = Order.LOCK if not at_rest else Order.GRANT if visit.granted else Order.WAIT
    after = replace(
        state,
        session=visit,
        door=door.advance(state.door, order, now, settings.door),
        enrolment=enrolled,
        button=pressed,
        freshness=fresh,
        fault=fault,
        stopping=stopping,
        refused_until=_refused_until(state, visit, now),
    )
    return _told(state, after, inputs, settings, steps)


def _fault(inputs: Inputs, fresh: freshness.Freshness, settings: Config) -> str | None:
    if inputs.fault is not None:
        return inputs.fault
    # Written so that an age that is not a number counts as stale.
    if not inputs.frame_age_seconds <= settings.camera.stale_after_seconds:
        return "camera_stale"
    return "picture_frozen" if fresh.frozen else None


def _may_decide(state: State, inputs: Inputs, pressed: button.Button) -> bool:
    """Whether the session may look at this turn's frame.

    Not while somebody is being enrolled, not on the turn on which the button or the command line speaks,
    and not on the turn on which the door relocks: a grant would be lost on it.
    """
    watching = isinstance(state.enrolment, Idle | Authorising)
    return watching and not (pressed.gestures or inputs.commands or door.is_over(state.door, inputs.now))


def _heard(
    inputs: Inputs,
    pressed: button.Button,
    halt: Failure | None,
    visit: session.Session,
    observation: Observation | None,
) -> Iterator[Input | None]:
    """What the enrolment hears on this turn, one after the other."""
    yield inputs.saved
    if halt is not None:
        yield AbortEnrolment(halt)
        return
    for gesture in pressed.gestures:
        if gesture is Gesture.HOLD:
            yield StartEnrolment(origin=Origin.BUTTON)
        else:
            yield AbortEnrolment(Failure.ABORTED if gesture is Gesture.PRESS else Failure.BUTTON_STUCK)
    yield from inputs.commands
    person = _granted_person(visit)
    if person is not None:
        yield Granted(person)
    yield None if pressed.is_down else observation


def _enrol(
    state: State, inputs: Inputs, settings: Config, heard: Iterator[Input | None]
) -> tuple[Enrolment, list[Event]]:
    setting = enrolment.Setting(settings.enrolment, inputs.people_enrolled, inputs.admins)
    before = state.enrolment
    events: list[Event] = []
    for given in heard:
        after = enrolment.advance(before, given, inputs.now, setting)
        events += changes.of_enrolment(before, after, settings.enrolment.references, inputs.now)
        before = after
    return before, events


def _takes_over(before: Enrolment, after: Enrolment) -> bool:
    """Whether the enrolment ends a visit: visits go on only while idle, or while an admin is awaited."""
    return type(before) is not type(after) or not isinstance(after, Idle | Authorising)


def _granted_person(visit: session.Session) -> Person | None:
    verdict = visit.granted.verdict if visit.granted is not None else None
    return verdict.person if verdict is not None else None


def _refused_until(state: State, visit: session.Session, now: float) -> float:
    refused = any(outcome.ending is Ending.REFUSED for outcome in visit.outcomes)
    return now + situation.REFUSED_SECONDS if refused else state.refused_until


def _told(
    before: State, after: State, inputs: Inputs, settings: Config, steps: list[Event]
) -> tuple[State, Outputs]:
    """The new state with what the world is told of it."""
    seen = situation.Situation(
        now=inputs.now,
        session=after.session,
        door=after.door,
        enrolment=after.enrolment,
        button=after.button.position,
        fault=after.fault,
        stopping=after.stopping,
        refused_until=after.refused_until,
        people_enrolled=inputs.people_enrolled,
        wanted=settings.enrolment.references,
    )
    pattern = indicator.choose(frozenset(situation.patterns(seen)))
    if pattern is not after.pattern:
        after = replace(after, pattern=pattern, pattern_since=inputs.now)
    saving = isinstance(after.enrolment, Saving) and after.enrolment is not before.enrolment
    throttle = after.session.throttle
    return after, Outputs(
        lock=after.door.level,
        pattern=pattern,
        pattern_since=after.pattern_since,
        events=tuple(_events(before, after, inputs, steps)),
        save=after.enrolment.person if isinstance(after.enrolment, Saving) and saving else None,
        throttle=throttle if throttle != before.session.throttle else None,
        fault=after.fault,
        status=situation.status(seen),
    )


def _events(before: State, after: State, inputs: Inputs, steps: list[Event]) -> Iterator[Event]:
    """Everything that happened on this turn, causes before effects."""
    now, context = inputs.now, changes.Context(after.model, inputs.frame_age_seconds)
    if after.fault is not None and before.fault is None:
        yield changes.of_fault(after.fault, context)
    if after.stopping and not before.stopping:
        yield Event(EventKind.DAEMON_STOPPING, {"REASON": "asked"})
    if Gesture.STUCK in after.button.gestures:
        yield Event(EventKind.BUTTON_STUCK, {"SECONDS": round(now - after.button.since, 1)})
    purpose = "enrolment" if isinstance(before.enrolment, Authorising) else "door"
    yield from changes.of_session(before.session, after.session, now, purpose, context)
    yield from steps
    if after.fault is not None or after.stopping:
        reason = "fault" if after.fault is not None else "stopping"
    else:
        reason = "time" if isinstance(after.enrolment, Idle) else "enrolment"
    yield from changes.of_door(before.door, after.door, now, _granted_person(after.session), reason)
