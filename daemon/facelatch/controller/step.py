"""Joins the machines: (state, inputs) -> (state, outputs). Pure; a test is a list of inputs and a list of outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from facelatch.audit.events import Event, EventKind
from facelatch.config.file import Config
from facelatch.controller import changes, enrolling, situation
from facelatch.controller.state import Inputs, Outputs, State, granted_person, kept_frames
from facelatch.machines import button, door, freshness, indicator, session, session_states
from facelatch.machines.button import Gesture
from facelatch.machines.door import Order
from facelatch.machines.enrolment_states import (
    Authorising,
    Failure,
    Idle,
    Saving,
)
from facelatch.machines.enrolment_states import Input as EnrolmentInput
from facelatch.machines.session_states import Ending, ForgetRefusals
from facelatch.values.observations import Observation


def step(state: State, inputs: Inputs, settings: Config) -> tuple[State, Outputs]:
    """One turn. Total: whatever comes in, an answer comes out, and in doubt it is a locked door."""
    now = inputs.now
    fresh = freshness.advance(state.freshness, inputs.fingerprint, now, settings.camera)
    pressed = button.advance(state.button, inputs.edges, now, settings.enrolment)
    fault = state.fault or _fault(inputs, fresh, settings)
    stopping = state.stopping or inputs.stopping
    halt = Failure.FAULT if fault is not None else Failure.STOPPING if stopping else None
    observation = inputs.observation if fresh.fresh and halt is None else None

    asked = tuple(enrolling.requests(inputs, pressed, halt))
    withheld = _is_withheld(state, inputs, settings, asked)
    visit = _visit(state, inputs, None if withheld else observation, settings)
    if withheld and observation is not None:
        visit = session.withhold(visit)
    seen = enrolling.sights(pressed, visit, observation)
    enrolled, steps = enrolling.advance_enrolment(state, inputs, settings, (*asked, *seen))
    if halt is not None or enrolling.takes_over(state.enrolment, enrolled):
        reason = halt.value if halt is not None else "enrolment"
        visit = session.interrupt(visit, reason, "the visit was cut short", now, settings.session)
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
    return _outputs(state, after, inputs, settings, steps)


def _fault(inputs: Inputs, fresh: freshness.Freshness, settings: Config) -> str | None:
    if inputs.fault is not None:
        return inputs.fault
    # Written so that an age that is not a number counts as stale.
    if not inputs.frame_age_seconds <= settings.camera.stale_after_seconds:
        return "camera_stale"
    return "picture_frozen" if fresh.frozen else None


def _is_withheld(
    state: State, inputs: Inputs, settings: Config, asked: tuple[EnrolmentInput | None, ...]
) -> bool:
    """Whether the session may not look at this turn's frame: a grant would be lost on it.

    So it is while somebody is being enrolled, on the turn on which the button or the command line begins or ends an
    enrolment (a press that changes nothing takes no frame away), and on the turn on which the door relocks.
    """
    if not isinstance(state.enrolment, Idle | Authorising) or door.is_over(state.door, inputs.now):
        return True
    enrolled, _ = enrolling.advance_enrolment(state, inputs, settings, asked)
    return enrolling.takes_over(state.enrolment, enrolled)


def _visit(
    state: State, inputs: Inputs, observation: Observation | None, settings: Config
) -> session_states.Session:
    before = state.session
    if any(isinstance(command, ForgetRefusals) for command in inputs.commands):
        before = session.forgive(before)
    return session.advance(before, observation, inputs.now, settings.session, inputs.background)


def _refused_until(state: State, visit: session_states.Session, now: float) -> float:
    refused = any(outcome.ending is Ending.REFUSED for outcome in visit.outcomes)
    return now + situation.REFUSED_SECONDS if refused else state.refused_until


def _outputs(
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
        events=tuple(_events(before, after, inputs, steps, settings.session.rearm_seconds)),
        save=after.enrolment.request if isinstance(after.enrolment, Saving) and saving else None,
        kept=kept_frames(after),
        throttle=throttle if throttle != before.session.throttle else None,
        ended_tracks=after.session.ended_tracks,
        enrolling=not isinstance(after.enrolment, Idle),
        fault=after.fault,
        status=situation.status(seen),
    )


def _events(
    before: State, after: State, inputs: Inputs, steps: list[Event], rearm_seconds: float
) -> Iterator[Event]:
    """Everything that happened on this turn, causes before effects."""
    now, context = inputs.now, changes.Context(after.model, inputs.frame_age_seconds, rearm_seconds)
    if after.fault is not None and before.fault is None:
        yield changes.of_fault(after.fault, context)
    if after.stopping and not before.stopping:
        yield Event(EventKind.DAEMON_STOPPING, {"REASON": "asked"})
    if any(isinstance(command, ForgetRefusals) for command in inputs.commands):
        yield Event(EventKind.LOCKOUT_CLEARED, {"COUNT": before.session.throttle.refusals})
    if Gesture.STUCK in after.button.gestures:
        yield Event(EventKind.BUTTON_STUCK, {"SECONDS": round(now - after.button.since, 1)})
    purpose = "enrolment" if isinstance(before.enrolment, Authorising) else "door"
    yield from changes.of_session(before.session, after.session, now, purpose, context)
    yield from steps
    if after.fault is not None or after.stopping:
        reason = "fault" if after.fault is not None else "stopping"
    else:
        reason = "time" if isinstance(after.enrolment, Idle) else "enrolment"
    yield from changes.of_door(before.door, after.door, now, granted_person(after.session), reason)
