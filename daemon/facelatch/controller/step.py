"""Joins the machines: (state, inputs) -> (state, outputs). Pure; a test is a list of inputs and a list of outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from facelatch.audit.events import Event, EventKind
from facelatch.config.file import Config
from facelatch.controller import aim, asking, changes, enrolling, entrance, site, site_changes, situation
from facelatch.controller.state import Inputs, Outputs, State, granted_person, kept_frames
from facelatch.machines import (
    button,
    camera_watch,
    challenge,
    door,
    freshness,
    indicator,
    session,
    session_states,
)
from facelatch.machines.button import Gesture
from facelatch.machines.camera_watch import Sight
from facelatch.machines.door import Order
from facelatch.machines.enrolment_states import (
    Authorising,
    Failure,
    Idle,
    Saving,
)
from facelatch.machines.enrolment_states import Input as EnrolmentInput
from facelatch.machines.session_states import ForgetRefusals
from facelatch.site.exit_button import Leaving
from facelatch.values.records import Person


def step(state: State, inputs: Inputs, settings: Config) -> tuple[State, Outputs]:
    """One turn. Total: whatever comes in, an answer comes out, and in doubt it is a locked door."""
    now = inputs.now
    looked = _looked(state, inputs, settings)
    trouble = looked.fault is not None or not looked.camera.seeing
    stopping = state.stopping or inputs.stopping
    halt = Failure.FAULT if trouble else Failure.STOPPING if stopping else None
    heard = _heard(state, inputs, trouble=trouble)
    around = site.hear(state.site, heard, settings)
    trusted = looked.freshness.fresh and halt is None and now >= state.held_until
    observation = inputs.observation if trusted else None
    pressed = looked.button
    asked = tuple(enrolling.requests(inputs, pressed, halt))
    shown = None if _is_withheld(state, inputs, settings, asked) else observation
    judged = shown if site.admitted(around, shown, settings) else None
    before = _before(state, inputs, settings)
    ending = _ends(looked, stopping)
    barred = ending or not site.lets_anybody_in(around, settings)
    visit = asking.visited(state, before, judged, inputs, settings)
    if judged is None and observation is not None:
        visit = session.withhold(visit)
    halted = barred or halt is not None or _keeps_out(state, around, settings)
    visit, turning = asking.ask(state, (before, visit), shown, inputs, settings, halted=halted)
    came = entrance.enter(state, before, visit, inputs, settings, halted=barred, sees=looked.camera.seeing)
    visit = came.visit
    seen = enrolling.sights(pressed, came.face, observation)
    enrolled, steps = enrolling.advance_enrolment(state, inputs, settings, (*asked, *seen))
    if halt is not None or enrolling.takes_over(state.enrolment, enrolled):
        reason = halt.value if halt is not None else "enrolment"
        visit = session.interrupt(visit, reason, "the visit was cut short", now, settings.session)
    lost = state.camera.seeing and not looked.camera.seeing
    at_rest = not lost and isinstance(state.enrolment, Idle) and isinstance(enrolled, Idle)
    calm = at_rest or isinstance(enrolled, Authorising)
    base = Order.LOCK if not at_rest else Order.GRANT if came.person else Order.WAIT
    after = replace(
        looked,
        session=visit,
        enrolment=enrolled,
        challenge=turning if calm else challenge.dropped(turning),
        **entrance.kept(came, state, now, at_rest=calm),
        stopping=stopping,
        **_door(state, around, heard, base, settings, person=came.person, ending=ending),
    )
    after = replace(after, aiming=aim.advance(state, after, inputs))
    return _outputs(state, after, inputs, settings, (steps, came))


def _looked(state: State, inputs: Inputs, settings: Config) -> State:
    """The state with what this turn says of the camera's pictures and the button."""
    now = inputs.now
    fresh = freshness.advance(state.freshness, inputs.fingerprint, now, settings.camera)
    seen = fresh.fresh and inputs.fingerprint is not None
    wrong = _camera_fault(inputs, fresh, settings)
    camera = camera_watch.advance(
        state.camera, wrong, seen, now, settings.camera, reopenable=inputs.reopenable
    )
    if camera.sight is Sight.OPENING and state.camera.sight is not Sight.OPENING:
        fresh = freshness.Freshness(since=now)  # of the camera that is opened now nothing has been seen
    given_up = camera.code if camera.sight is Sight.GIVEN_UP else None
    return replace(
        state,
        freshness=fresh,
        camera=camera,
        button=button.advance(
            state.button, inputs.edges, now, settings.enrolment, free=isinstance(state.enrolment, Idle)
        ),
        fault=state.fault or (inputs.fault if inputs.fault != "camera_failed" else None) or given_up,
    )


def _camera_fault(inputs: Inputs, fresh: freshness.Freshness, settings: Config) -> str | None:
    if inputs.fault == "camera_failed":
        return inputs.fault
    # Written so that an age that is not a number counts as stale.
    if not inputs.frame_age_seconds <= settings.camera.stale_after_seconds:
        return "camera_stale"
    return "picture_frozen" if fresh.frozen else None


def _heard(state: State, inputs: Inputs, *, trouble: bool) -> site.Heard:
    return site.Heard(
        now=inputs.now,
        signals=inputs.signals,
        commands=inputs.commands,
        window=inputs.window,
        trouble=trouble,
        granted=isinstance(state.enrolment, Idle) and _let_in(state),
    )


def _let_in(state: State) -> bool:
    """Whether somebody was let in on the turn before."""
    return granted_person(state.session) is not None or state.factors.passed is not None


def _ends(state: State, stopping: bool) -> bool:
    """Whether the process ends with this turn."""
    return state.fault is not None or stopping


def _door(
    state: State,
    around: site.Site,
    heard: site.Heard,
    base: Order,
    settings: Config,
    *,
    person: Person | None,
    ending: bool,
) -> dict[str, Any]:
    """The door and the site after this turn, as fields of the state."""
    base = site.permitted(around, base, settings, admin=person is not None and person.admin)
    let_in = person.name if person is not None and base is Order.GRANT else None
    passed = site.pass_through(around, heard, state.door, let_in, settings)
    before = site.thawed(state.site, passed, state.door, heard.now, settings)
    asked = site.order(passed, base, ending=ending, now=heard.now, settings=settings)
    return {"site": passed, "door": door.advance(before, asked, heard.now, settings.door)}


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


def _keeps_out(state: State, around: site.Site, settings: Config) -> bool:
    """Whether the mode lets in, by now, nobody like the person who is asked to turn the head."""
    request = state.challenge.request
    return request is not None and not site.lets_in(around, request.held.person, settings)


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
        challenge=after.challenge,
        not_now_until=after.not_now_until,
        site=after.site,
        camera=after.camera,
        aiming=after.aiming.until is not None,
    )
    pattern = indicator.choose(frozenset(situation.patterns(seen)))
    if pattern is not after.pattern:
        after = replace(after, pattern=pattern, pattern_since=inputs.now)
    saving = isinstance(after.enrolment, Saving) and after.enrolment is not before.enrolment
    return after, Outputs(
        lock=site.level(after.site, after.door, ending=_ends(after, after.stopping)),
        pattern=pattern,
        pattern_since=after.pattern_since,
        events=tuple(_events(before, after, inputs, course, settings)),
        save=after.enrolment.request if isinstance(after.enrolment, Saving) and saving else None,
        kept=kept_frames(after),
        throttle=None if after.session.throttle == before.session.throttle else after.session.throttle,
        ended_tracks=after.session.ended_tracks,
        enrolling=not isinstance(after.enrolment, Idle),
        fault=after.fault,
        status=situation.status(seen),
        checks=after.factors.checks,
        siren=after.site.alarm.sounding,
        buzzer=site.buzzes(after.site, inputs.now, settings),
        reopen=after.camera.sight is Sight.OPENING and before.camera.sight is not Sight.OPENING,
        blind=not after.camera.seeing,
        aiming=after.aiming,
    )


def _events(
    before: State, after: State, inputs: Inputs, course: tuple[list[Event], entrance.Entered], settings: Config
) -> Iterator[Event]:
    """Everything that happened on this turn, causes before effects."""
    (steps, came), now = course, inputs.now
    context = changes.Context(after.model, inputs.frame_age_seconds, settings.session.rearm_seconds)
    if after.fault is not None and before.fault is None:
        yield changes.of_fault(after.fault, context)
    elif before.camera.seeing and not after.camera.seeing:
        yield changes.of_fault(after.camera.code, context)
    yield from site_changes.of_camera(before.camera, after.camera, now)
    if after.stopping and not before.stopping:
        yield Event(EventKind.DAEMON_STOPPING, {"REASON": "asked"})
    if any(isinstance(command, ForgetRefusals) for command in inputs.commands):
        yield Event(EventKind.LOCKOUT_CLEARED, {"COUNT": before.session.throttle.refusals})
    if Gesture.STUCK in after.button.gestures:
        yield Event(EventKind.BUTTON_STUCK, {"SECONDS": round(now - after.button.since, 1)})
    purpose = "enrolment" if isinstance(before.enrolment, Authorising) else "door"
    yield from asking.events(before.challenge, after.challenge, now)
    yield from changes.of_session(before.session, after.session, now, purpose, context)
    yield from entrance.events(came)
    yield from steps
    yield from site_changes.of_site(before.site, after.site)
    yield from aim.events(before.aiming, after.aiming, now)
    if before.site.free or after.site.free:
        return  # what the door was beside free passage is not what the lock held
    person: Person | str | None = came.person
    if person is None and Leaving.UNLOCK in after.site.exit.asked:
        person = site.EXIT
    yield from changes.of_door(before.door, after.door, now, person, _relock_reason(after, settings))


def _relock_reason(after: State, settings: Config) -> str:
    if after.fault is not None or after.stopping:
        return "fault" if after.fault is not None else "stopping"
    if not after.camera.seeing:
        return "fault"
    return site.relock_reason(after.site, settings) if isinstance(after.enrolment, Idle) else "enrolment"
