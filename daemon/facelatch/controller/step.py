"""Joins the machines: (state, inputs) -> (state, outputs). Pure; a test is a list of inputs and a list of outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from facelatch.audit.events import Event, EventKind
from facelatch.config.file import Config
from facelatch.controller import changes, enrolling, entrance, situation
from facelatch.controller.state import Inputs, Outputs, State, kept_frames
from facelatch.machines import button, door, factors, freshness, indicator, session, session_states
from facelatch.machines.button import Gesture
from facelatch.machines.door import Order
from facelatch.machines.enrolment_states import (
    Authorising,
    Failure,
    Idle,
    Saving,
)
from facelatch.machines.enrolment_states import Input as EnrolmentInput
from facelatch.machines.session_states import ForgetRefusals


def step(state: State, inputs: Inputs, settings: Config) -> tuple[State, Outputs]:
    """One turn. Total: whatever comes in, an answer comes out, and in doubt it is a locked door."""
    now = inputs.now
    fresh = freshness.advance(state.freshness, inputs.fingerprint, now, settings.camera)
    pressed = button.advance(state.button, inputs.edges, now, settings.enrolment)
    fault = state.fault or _fault(inputs, fresh, settings)
    stopping = state.stopping or inputs.stopping
    halt = Failure.FAULT if fault is not None else Failure.STOPPING if stopping else None
    trusted = fresh.fresh and halt is None and now >= state.held_until
    observation = inputs.observation if trusted else None

    asked = tuple(enrolling.requests(inputs, pressed, halt))
    withheld = _is_withheld(state, inputs, settings, asked)
    before = _before(state, inputs, settings)
    visit = session.advance(
        before, None if withheld else observation, now, settings.session, inputs.background
    )
    if withheld and observation is not None:
        visit = session.withhold(visit)
    came = entrance.enter(state, before, visit, inputs, settings, halted=halt is not None)
    visit = came.visit
    seen = enrolling.sights(pressed, came.face, observation)
    enrolled, steps = enrolling.advance_enrolment(state, inputs, settings, (*asked, *seen))
    if halt is not None or enrolling.takes_over(state.enrolment, enrolled):
        reason = halt.value if halt is not None else "enrolment"
        visit = session.interrupt(visit, reason, "the visit was cut short", now, settings.session)
    at_rest = halt is None and isinstance(state.enrolment, Idle) and isinstance(enrolled, Idle)
    order = Order.LOCK if not at_rest else Order.GRANT if came.person else Order.WAIT
    after = replace(
        state,
        session=visit,
        door=door.advance(state.door, order, now, settings.door),
        enrolment=enrolled,
        button=pressed,
        freshness=fresh,
        factors=came.factors if at_rest or isinstance(enrolled, Authorising) else factors.dropped(came.factors),
        wiegand=came.wiegand,
        strokes=came.strokes,
        fault=fault,
        stopping=stopping,
        refused_until=now + situation.REFUSED_SECONDS if entrance.is_refused(came) else state.refused_until,
        not_now_until=now + situation.REFUSED_SECONDS if entrance.is_put_off(came) else state.not_now_until,
    )
    return _outputs(state, after, inputs, settings, (steps, came))


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


def _before(state: State, inputs: Inputs, settings: Config) -> session_states.Session:
    """The session before this turn, its refusals forgotten where somebody asked for that."""
    forgotten = any(isinstance(command, ForgetRefusals) for command in inputs.commands)
    begun = session.begun(state.session, inputs.now, settings.session)
    return session.forgive(begun) if forgotten else begun


def _outputs(
    before: State, after: State, inputs: Inputs, settings: Config, course: tuple[list[Event], entrance.Entered]
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
        factors=after.factors,
        not_now_until=after.not_now_until,
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
        events=tuple(_events(before, after, inputs, course, settings.session.rearm_seconds)),
        save=after.enrolment.request if isinstance(after.enrolment, Saving) and saving else None,
        kept=kept_frames(after),
        throttle=throttle if throttle != before.session.throttle else None,
        ended_tracks=after.session.ended_tracks,
        enrolling=not isinstance(after.enrolment, Idle),
        fault=after.fault,
        status=situation.status(seen),
        checks=after.factors.checks,
    )


def _events(
    before: State,
    after: State,
    inputs: Inputs,
    course: tuple[list[Event], entrance.Entered],
    rearm_seconds: float,
) -> Iterator[Event]:
    """Everything that happened on this turn, causes before effects."""
    steps, came = course
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
    yield from entrance.events(came)
    yield from steps
    if after.fault is not None or after.stopping:
        reason = "fault" if after.fault is not None else "stopping"
    else:
        reason = "time" if isinstance(after.enrolment, Idle) else "enrolment"
    yield from changes.of_door(before.door, after.door, now, came.person, reason)
