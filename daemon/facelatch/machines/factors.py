"""Machine: a second factor. With session.py the only place that can say GRANT; it needs no frame, and no camera.

| state    | input                                               | next (outcome)                                     |
|----------|-----------------------------------------------------|----------------------------------------------------|
| any      | a face whose rule is face+pin or face+card          | awaiting its PIN or card (asked)                   |
| any      | the same, of somebody without PIN or card           | idle (refused: no_pin, no_card)                    |
| any      | a face whose rule is card+pin                       | idle (refused: needs_card)                         |
| idle     | a card                                              | looking up                                         |
| looking up | nobody's card                                     | idle (refused: wrong_card, counts)                 |
| looking up | it could not be looked up, or took `pin_seconds`  | idle (refused: not_checked)                        |
| looking up | somebody's, for whom card and PIN do now          | awaiting the PIN (asked)                           |
| looking up | somebody's, for whom they do not                  | idle (refused: needs_face)                         |
| awaiting | digits, *                                           | awaiting, more time; typed, cleared                |
| awaiting | # after digits, or the card                         | checking                                           |
| awaiting | no key for `pin_seconds`                            | idle (refused: too_late)                           |
| checking | right                                               | idle (passed)                                      |
| checking | the duress PIN                                      | idle (passed, and duress)                          |
| checking | wrong                                               | awaiting, one try less (refused, counts)           |
| checking | wrong at the last try                               | idle (refused, counts)                             |
| checking | it could not be checked, or took `pin_seconds`      | idle (refused: not_checked)                        |
| any      | a grant, an enrolment, a lock-out, a fault, the end | idle                                               |

The PIN is asked for after the face and compared with that person's only, so that a PIN alone tells nothing. What counts
fills the same throttle as faces do (throttle.py), which is not emptied before the second factor was right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from facelatch.values.hours import Rule
from facelatch.values.readers import MOST_PIN_DIGITS, CardRead, Check, Checked, Entry, Key, Result
from facelatch.values.records import Person

if TYPE_CHECKING:
    from facelatch.config.access import FactorsConfig


class Refusal(StrEnum):
    """Why a second factor came to nothing; stable codes."""

    NO_PIN = "no_pin"
    NO_CARD = "no_card"
    NEEDS_CARD = "needs_card"
    NEEDS_FACE = "needs_face"
    WRONG_PIN = "wrong_pin"
    WRONG_CARD = "wrong_card"
    TOO_LATE = "too_late"
    NOT_CHECKED = "not_checked"

    @property
    def hint(self) -> str:
        """What a person can do about it."""
        return _HINTS[self]

    @property
    def counts(self) -> bool:
        """Whether it is an attempt, as a stranger's face is one."""
        return self in (Refusal.WRONG_PIN, Refusal.WRONG_CARD)


_HINTS: Mapping[Refusal, str] = {
    Refusal.NO_PIN: "this person has no PIN: `facelatch people pin NAME`",
    Refusal.NO_CARD: "this person has no card: `facelatch people card NAME`",
    Refusal.NEEDS_CARD: "a face is not asked for in these hours: hold up the card, then enter the PIN",
    Refusal.NEEDS_FACE: "card and PIN do not do in these hours: look at the camera",
    Refusal.WRONG_PIN: "enter the PIN again, then #; * clears what was typed",
    Refusal.WRONG_CARD: "hold up the card of the person who was recognised",
    Refusal.TOO_LATE: "come again, and be quicker: factors.pin_seconds",
    Refusal.NOT_CHECKED: "the log says what failed; come again",
}


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing is asked for."""


@dataclass(frozen=True, slots=True)
class LookingUp:
    """Whose card it is is being asked."""

    serial: int
    until: float


@dataclass(frozen=True, slots=True)
class Awaiting:
    """Somebody is to prove to be who the face, or the card, says."""

    person: Person
    rule: Rule
    until: float
    tries: int
    """How many are left."""
    typed: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Checking:
    """What was entered is being compared."""

    serial: int
    awaiting: Awaiting
    until: float


@dataclass(frozen=True, slots=True)
class Asked:
    """A second factor is asked for."""

    person: Person
    rule: Rule


@dataclass(frozen=True, slots=True)
class Passed:
    """The second factor was right."""

    person: Person
    rule: Rule
    duress: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """A second factor came to nothing."""

    reason: Refusal
    person: Person | None = None


@dataclass(frozen=True, slots=True)
class Factors:
    """What is asked for, and what came of it on this turn."""

    phase: Idle | LookingUp | Awaiting | Checking = Idle()
    serial: int = 0
    """Of the newest check."""
    checks: tuple[Check, ...] = ()
    outcomes: tuple[Asked | Passed | Refused, ...] = ()

    @property
    def passed(self) -> Passed | None:
        """The grant of this turn, if there was one."""
        return next((one for one in self.outcomes if isinstance(one, Passed)), None)


@dataclass(frozen=True, slots=True)
class FaceSeen:
    """The session recognised somebody whose rule asks for more, or for something else."""

    person: Person
    rule: Rule
    has_pin: bool
    has_card: bool


@dataclass(frozen=True, slots=True)
class CardOf:
    """Whose card it is that was looked up."""

    serial: int
    person: Person | None
    has_pin: bool = False
    opens: bool = False
    """Whether card and PIN let this person in now."""
    failed: bool = False
    """Whether it could not be looked up."""


@dataclass(frozen=True, slots=True)
class Halt:
    """Nothing is asked for any more."""


Input = FaceSeen | CardOf | Checked | Halt | Key | CardRead


def dropped(factors: Factors) -> Factors:
    """The state when something else takes over; answers that are on their way are not waited for."""
    return Factors(serial=factors.serial)


def begin_turn(factors: Factors, now: float) -> Factors:
    """The state at the beginning of a turn: nothing came of it yet, unless a time is over."""
    factors = replace(factors, checks=(), outcomes=())
    match factors.phase:
        case Awaiting(person=person, until=until) if now >= until:
            return _refuse(factors, Refusal.TOO_LATE, person)
        case Checking(awaiting=awaiting, until=until) if now >= until:
            return _refuse(factors, Refusal.NOT_CHECKED, awaiting.person)
        case LookingUp(until=until) if now >= until:
            return _refuse(factors, Refusal.NOT_CHECKED, None)
    return factors


def advance(factors: Factors, told: Input, now: float, settings: FactorsConfig) -> Factors:
    """The state after one input."""
    match told, factors.phase:
        case Halt(), _:
            return replace(factors, phase=Idle())
        case FaceSeen(), _:
            return _face(factors, told, now, settings)
        case CardRead(number=number), Idle():
            serial = factors.serial + 1
            looking = LookingUp(serial, now + settings.pin_seconds)
            return _asking(replace(factors, phase=looking), Check(serial, number, None))
        case CardOf(serial=serial), LookingUp(serial=expected) if serial == expected:
            return _holder(factors, told, now, settings)
        case (Key() | CardRead()), Awaiting() as awaiting:
            return _entered(factors, awaiting, told, now, settings)
        case CardOf(serial=serial, person=person), Checking(serial=expected, awaiting=awaiting) if serial == expected:
            right = person is not None and person.id == awaiting.person.id
            found = Result.FAILED if told.failed else Result.RIGHT if right else Result.WRONG
            return _answered(factors, awaiting, found, now, settings)
        case Checked(serial=serial, result=result), Checking(serial=expected, awaiting=awaiting) if serial == expected:
            return _answered(factors, awaiting, result, now, settings)
    return factors


def _face(factors: Factors, seen: FaceSeen, now: float, settings: FactorsConfig) -> Factors:
    if seen.rule is Rule.CARD_PIN:
        return _refuse(factors, Refusal.NEEDS_CARD, seen.person)
    if seen.rule is Rule.FACE_PIN and not seen.has_pin:
        return _refuse(factors, Refusal.NO_PIN, seen.person)
    if seen.rule is Rule.FACE_CARD and not seen.has_card:
        return _refuse(factors, Refusal.NO_CARD, seen.person)
    return _ask(factors, seen.person, seen.rule, now, settings)


def _holder(factors: Factors, told: CardOf, now: float, settings: FactorsConfig) -> Factors:
    if told.failed:
        return _refuse(factors, Refusal.NOT_CHECKED, None)
    if told.person is None:
        return _refuse(factors, Refusal.WRONG_CARD, None)
    if not told.opens:
        return _refuse(factors, Refusal.NEEDS_FACE, told.person)
    if not told.has_pin:
        return _refuse(factors, Refusal.NO_PIN, told.person)
    return _ask(factors, told.person, Rule.CARD_PIN, now, settings)


def _ask(factors: Factors, person: Person, rule: Rule, now: float, settings: FactorsConfig) -> Factors:
    awaiting = Awaiting(person=person, rule=rule, until=now + settings.pin_seconds, tries=settings.tries)
    return replace(factors, phase=awaiting, outcomes=(*factors.outcomes, Asked(person, rule)))


def _entered(factors: Factors, awaiting: Awaiting, entry: Entry, now: float, settings: FactorsConfig) -> Factors:
    until = now + settings.pin_seconds
    if isinstance(entry, CardRead):
        return _check(factors, awaiting, entry.number, until) if awaiting.rule is Rule.FACE_CARD else factors
    if not awaiting.rule.keypad:
        return factors
    if entry.symbol == "#":
        return _check(factors, awaiting, awaiting.typed, until) if awaiting.typed else factors
    # One digit more than any PIN has is kept, so that what is too long stays wrong.
    typed = "" if entry.symbol == "*" else (awaiting.typed + entry.symbol)[: MOST_PIN_DIGITS + 1]
    return replace(factors, phase=replace(awaiting, typed=typed, until=until))


def _check(factors: Factors, awaiting: Awaiting, code: str, until: float) -> Factors:
    serial = factors.serial + 1
    person = awaiting.person.id if awaiting.rule.keypad else None
    checking = Checking(serial=serial, awaiting=replace(awaiting, typed=""), until=until)
    return _asking(replace(factors, phase=checking), Check(serial, code, person))


def _asking(factors: Factors, check: Check) -> Factors:
    return replace(factors, serial=check.serial, checks=(*factors.checks, check))


def _answered(
    factors: Factors, awaiting: Awaiting, result: Result, now: float, settings: FactorsConfig
) -> Factors:
    if result in (Result.RIGHT, Result.DURESS):
        passed = Passed(person=awaiting.person, rule=awaiting.rule, duress=result is Result.DURESS)
        return replace(factors, phase=Idle(), outcomes=(*factors.outcomes, passed))
    if result is Result.FAILED:
        return _refuse(factors, Refusal.NOT_CHECKED, awaiting.person)
    refused = _refuse(factors, Refusal.WRONG_PIN if awaiting.rule.keypad else Refusal.WRONG_CARD, awaiting.person)
    if awaiting.tries <= 1:
        return refused
    again = replace(awaiting, tries=awaiting.tries - 1, until=now + settings.pin_seconds)
    return replace(refused, phase=again)


def _refuse(factors: Factors, reason: Refusal, person: Person | None) -> Factors:
    return replace(factors, phase=Idle(), outcomes=(*factors.outcomes, Refused(reason, person)))
