"""Who has to turn the head before being let in: between the session, whose grant waits, and the hours and factors."""

from __future__ import annotations

from collections.abc import Iterator

from facelatch.audit.events import Event, EventKind, Value
from facelatch.config.file import Config
from facelatch.controller import changes
from facelatch.controller.state import Inputs, State, granted_person
from facelatch.machines import challenge, holding, session
from facelatch.machines.challenge import Challenge, Held, Result
from facelatch.machines.session_states import LockedOut, Session
from facelatch.values.observations import Judged, Observation


def visited(
    state: State, before: Session, observation: Observation | None, inputs: Inputs, settings: Config
) -> Session:
    """The session after this turn. While a request is under way frames answer it, and are none of the session's."""
    seen = observation if state.challenge.request is None else None
    return session.advance(before, seen, inputs.now, settings.session, inputs.background)


def ask(
    state: State,
    visits: tuple[Session, Session],
    observation: Observation | None,
    inputs: Inputs,
    settings: Config,
    *,
    halted: bool,
) -> tuple[Session, Challenge]:
    """The session with the grant that may be given on this turn, and the request; `visits` is before and after.

    `observation` may be one that the mode kept from the session: of whoever is asked, pictures count by which nobody is
    known. A request is the only way on for a face that is not proven alive.
    """
    before, visit = visits
    now = inputs.now
    if halted or isinstance(visit.phase, LockedOut):
        asked = challenge.dropped(Challenge(state.challenge.phase))
    else:
        asked = challenge.advance(state.challenge, observation, now)
    if (held := _held(visit, observation, settings)) is not None:
        visit = holding.hold_back(visit, before, held)
        if not halted:
            asked = challenge.begin(held, inputs.draw, settings.liveness.turns, now)
    if asked.ended is not None and asked.result is Result.ANSWERED:
        visit = holding.release(visit, asked.ended.held, now, settings.session)
    elif asked.ended is not None and asked.result is not None and asked.result.refuses:
        visit = holding.refuse(visit, asked.ended.held, asked.result.reason, now, settings.session)
    return visit, asked


def _held(visit: Session, observation: Observation | None, settings: Config) -> Held | None:
    """The grant of this turn, if it has to wait for an answer; frames of a request never bring one."""
    person, outcome = granted_person(visit), visit.granted
    if person is None or outcome is None:
        return None
    judged = observation if isinstance(observation, Judged) else None
    if settings.liveness.ask != "always" and judged is not None and judged.proof.passes:
        return None
    return Held(person=person, track=judged.track if judged is not None else 0, outcome=outcome)


def events(before: Challenge, after: Challenge, now: float) -> Iterator[Event]:
    """What the audit says of requests: asked for, answered, failed."""
    if after.ended is not None and after.result is not None:
        about: dict[str, Value] = changes.names(after.ended.held.person)
        about["SECONDS"] = round(now - after.ended.began, 1)
        if after.result is Result.ANSWERED:
            yield Event(EventKind.LIVENESS_ANSWERED, about)
        else:
            why: dict[str, Value] = {"REASON": after.result.value, "HINT": after.result.reason.hint}
            yield Event(EventKind.LIVENESS_FAILED, {**about, **why, "COUNT": after.ended.answered})
    request = after.request
    if request is not None and before.request is None:
        yield Event(EventKind.LIVENESS_ASKED, {**changes.names(request.held.person), "COUNT": len(request.sides)})
