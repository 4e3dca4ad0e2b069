"""Whether whoever was recognised is let in on this turn: hours first, then what is asked for besides a face."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from facelatch.audit.events import Event, EventKind, Value
from facelatch.config.file import Config
from facelatch.controller import changes, situation
from facelatch.controller.state import Entrance, Inputs, State, granted_person
from facelatch.machines import factors, schedule, session, session_states, strokes, wiegand
from facelatch.machines.factors import CardOf, FaceSeen, Factors, Halt
from facelatch.machines.session_states import Ending
from facelatch.values.hours import Access, Rule
from facelatch.values.readers import Checked, Entry, Pulse, Result, Stroke
from facelatch.values.records import Person

_EVERYBODY = Access()


@dataclass(frozen=True, slots=True)
class Entered:
    """What came of it."""

    visit: session_states.Session
    factors: Factors
    wiegand: wiegand.Wiegand
    strokes: strokes.Typing
    person: Person | None
    """Who is let in, by the session or by the second factor, and by nothing else."""
    denied: tuple[Person, schedule.Denial] | None = None
    """Who passed the second factor when the time was over."""

    @property
    def face(self) -> Person | None:
        """Who is let in and was seen: card and PIN alone authorise no enrolment."""
        passed = self.factors.passed
        return None if passed is not None and passed.rule is Rule.CARD_PIN else self.person


def enter(
    state: State, before: session_states.Session, visit: session_states.Session, inputs: Inputs, settings: Config,
    *, halted: bool, sees: bool,
) -> Entered:  # fmt: skip
    """What comes of the visit of this turn and of what readers and keypads say; `before` is the session before it.

    `sees`: whether the camera works.
    """
    place, now = inputs.entrance, inputs.now
    read, typed, entries = _heard(state, place, now)
    second = factors.begin_turn(state.factors, now)
    told: list[factors.Input] = []
    if (person := granted_person(visit)) is not None:
        decision = decide(person.id, place, settings)
        if isinstance(decision, schedule.Denied):
            visit = session.put_off(visit, before, Ending.DENIED, decision.reason, decision.reason.hint)
            told.append(Halt())
        elif decision.rule is Rule.FACE:
            told.append(Halt())
        else:
            visit = session.put_off(visit, before, Ending.RECOGNISED, "second_factor", "")
            told.append(_face(person, decision.rule, place))
    told += _answers(place, settings, sees=sees)
    told += entries
    shut = halted or isinstance(visit.phase, session_states.LockedOut)
    for one in [Halt()] if shut else told:
        second = factors.advance(second, one, now, settings.factors)
    for outcome in second.outcomes:
        if isinstance(outcome, factors.Refused) and outcome.reason.counts:
            visit = session.count_attempt(visit, now, settings.session)
    came = Entered(visit=visit, factors=second, wiegand=read, strokes=typed, person=granted_person(visit))
    return _let_in(came, place, settings)


def decide(person: int, place: Entrance, settings: Config) -> schedule.Allowed | schedule.Denied:
    """Whether the person with this id may come now, and by which rule."""
    access = place.access.get(person, _EVERYBODY)
    return schedule.allowed(access, place.time, place.schedules, Rule(settings.factors.rule))


def _let_in(came: Entered, place: Entrance, settings: Config) -> Entered:
    """With whoever has passed the second factor, unless the time is over meanwhile."""
    passed = came.factors.passed
    if passed is None:
        return came
    decision = decide(passed.person.id, place, settings)
    denied = (passed.person, decision.reason) if isinstance(decision, schedule.Denied) else None
    if passed.person.id not in place.people:
        denied = (passed.person, schedule.Denial.SUSPENDED)  # removed while the PIN was being checked
    visit = came.visit if denied else session.forgive(came.visit)
    return replace(came, visit=visit, person=None if denied else passed.person, denied=denied)


def _heard(state: State, place: Entrance, now: float) -> tuple[wiegand.Wiegand, strokes.Typing, tuple[Entry, ...]]:
    pulses = [signal for signal in place.signals if isinstance(signal, Pulse)]
    read = wiegand.advance(state.wiegand, pulses, now)
    typed = strokes.advance(state.strokes, [signal for signal in place.signals if isinstance(signal, Stroke)])
    return read, typed, (*read.entries, *typed.entries)


def _face(person: Person, rule: Rule, place: Entrance) -> FaceSeen:
    access = place.access.get(person.id, _EVERYBODY)
    return FaceSeen(person=person, rule=rule, has_pin=access.has_pin, has_card=access.has_card)


def _answers(place: Entrance, settings: Config, *, sees: bool) -> Iterator[factors.Input]:
    """The answers that have come; one to a card says whose it is, and whether card and PIN let them in now."""
    for checked in place.checked:
        yield _holder(checked, place, settings, sees=sees) if checked.card else checked


def _holder(checked: Checked, place: Entrance, settings: Config, *, sees: bool) -> CardOf:
    person = place.people.get(checked.holder) if checked.holder is not None else None
    if person is None:
        return CardOf(serial=checked.serial, person=None, failed=checked.result is Result.FAILED)
    decision = decide(person.id, place, settings)
    alone = not sees and settings.factors.without_camera == "card+pin"
    opens = isinstance(decision, schedule.Allowed) and (decision.rule is Rule.CARD_PIN or alone)
    has_pin = place.access.get(person.id, _EVERYBODY).has_pin
    return CardOf(serial=checked.serial, person=person, has_pin=has_pin, opens=opens)


def kept(came: Entered, state: State, now: float, *, at_rest: bool) -> dict[str, Any]:
    """What of it is remembered, as fields of the state; what was asked for is dropped unless the door is `at_rest`."""
    shown = now + situation.REFUSED_SECONDS
    return {
        "factors": came.factors if at_rest else factors.dropped(came.factors),
        "wiegand": came.wiegand,
        "strokes": came.strokes,
        "refused_until": shown if is_refused(came) else state.refused_until,
        "not_now_until": shown if is_put_off(came) else state.not_now_until,
    }


def is_refused(came: Entered) -> bool:
    """Whether the light says "not recognised" for it."""
    wrong = any(isinstance(one, factors.Refused) and one.reason.counts for one in came.factors.outcomes)
    return wrong or any(one.ending is Ending.REFUSED for one in came.visit.outcomes)


def is_put_off(came: Entered) -> bool:
    """Whether the light says that somebody was recognised and is not let in."""
    other = any(isinstance(one, factors.Refused) and not one.reason.counts for one in came.factors.outcomes)
    return other or came.denied is not None or any(one.ending is Ending.DENIED for one in came.visit.outcomes)


def events(came: Entered) -> Iterator[Event]:
    """What the audit says of the second factor."""
    if count := came.wiegand.refused + came.strokes.refused:
        yield Event(EventKind.READER_UNREADABLE, {"COUNT": count})
    for outcome in came.factors.outcomes:
        match outcome:
            case factors.Asked(person=person, rule=rule):
                yield Event(EventKind.FACTOR_AWAITED, {**changes.names(person), "RULE": rule.value})
            case factors.Refused(reason=reason, person=person):
                about: dict[str, Value] = changes.names(person) if person is not None else {}
                fields: dict[str, Value] = {"REASON": reason.value, "HINT": reason.hint}
                yield Event(EventKind.FACTOR_REFUSED, {**about, **fields})
            case factors.Passed(person=person, rule=rule, duress=duress):
                yield Event(EventKind.FACTOR_ACCEPTED, {**changes.names(person), "RULE": rule.value})
                if duress:
                    yield Event(EventKind.DURESS, changes.names(person))
    if came.denied is not None:
        person, denial = came.denied
        fields = {"REASON": denial.value, "HINT": denial.hint}
        yield Event(EventKind.SCHEDULE_DENIED, {**changes.names(person), **fields})
