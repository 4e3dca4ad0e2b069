"""The second factor: every row of its table, and what it must never do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facelatch.config.access import FactorsConfig
from facelatch.machines.factors import (
    Asked,
    Awaiting,
    CardOf,
    Checking,
    FaceSeen,
    Factors,
    Halt,
    Idle,
    Input,
    Passed,
    Refusal,
    Refused,
    advance,
    begin_turn,
)
from facelatch.values.hours import Rule
from facelatch.values.readers import CardRead, Checked, Key, Result
from facelatch.values.records import Person

ADA, BEN = Person(1, "ada"), Person(2, "ben")
SETTINGS = FactorsConfig(wiegand_pins=[5, 6])
PIN = [Key(symbol) for symbol in "246810#"]


def face(rule: Rule, person: Person = ADA, **has: bool) -> FaceSeen:
    return FaceSeen(person=person, rule=rule, **{"has_pin": True, "has_card": True, **has})


def after(*told: Input, now: float = 100.0, factors: Factors | None = None) -> Factors:
    """The state after these inputs on one turn."""
    factors = begin_turn(factors or Factors(), now)
    for one in told:
        factors = advance(factors, one, now, SETTINGS)
    return factors


def test_a_face_is_asked_for_its_pin_and_the_right_one_passes() -> None:
    asked = after(face(Rule.FACE_PIN), *PIN)
    assert asked.outcomes == (Asked(ADA, Rule.FACE_PIN),)
    (check,) = asked.checks
    assert (check.person, check.code) == (ADA.id, "246810")
    done = after(Checked(check.serial, Result.RIGHT), factors=asked)
    assert done.passed == Passed(ADA, Rule.FACE_PIN)
    assert done.phase == Idle()
    assert begin_turn(done, 100.1).passed is None, "a grant is of one turn"


def test_a_face_is_asked_for_its_card_and_only_its_own_passes() -> None:
    asked = after(face(Rule.FACE_CARD), CardRead("4711"))
    (check,) = asked.checks
    assert (check.person, check.code) == (None, "4711")
    assert after(CardOf(serial=check.serial, person=ADA), factors=asked).passed == Passed(ADA, Rule.FACE_CARD)
    assert after(CardOf(serial=check.serial, person=BEN), factors=asked).outcomes == (Refused(Refusal.WRONG_CARD, ADA),)
    assert after(CardOf(serial=check.serial, person=None), factors=asked).passed is None


def test_card_and_pin_need_no_face() -> None:
    looked_up = after(CardRead("4711"))
    asked = after(CardOf(serial=1, person=ADA, has_pin=True, opens=True), *PIN, factors=looked_up)
    done = after(Checked(2, Result.RIGHT), factors=asked)
    assert done.passed == Passed(ADA, Rule.CARD_PIN)


@pytest.mark.parametrize(
    ("told", "reason", "person"),
    [
        ([face(Rule.FACE_PIN, has_pin=False)], Refusal.NO_PIN, ADA),
        ([face(Rule.FACE_CARD, has_card=False)], Refusal.NO_CARD, ADA),
        ([face(Rule.CARD_PIN)], Refusal.NEEDS_CARD, ADA),
        ([CardRead("1"), CardOf(serial=1, person=None)], Refusal.WRONG_CARD, None),
        ([CardRead("1"), CardOf(serial=1, person=None, failed=True)], Refusal.NOT_CHECKED, None),
        ([face(Rule.FACE_CARD), CardRead("1"), CardOf(serial=1, person=None, failed=True)], Refusal.NOT_CHECKED, ADA),
        ([CardRead("1"), CardOf(serial=1, person=ADA, has_pin=True, opens=False)], Refusal.NEEDS_FACE, ADA),
        ([CardRead("1"), CardOf(serial=1, person=ADA, has_pin=False, opens=True)], Refusal.NO_PIN, ADA),
        ([face(Rule.FACE_PIN), *PIN, Checked(1, Result.FAILED)], Refusal.NOT_CHECKED, ADA),
    ],
)
def test_what_is_missing_or_wrong_ends_it_with_a_reason(
    told: list[Input], reason: Refusal, person: Person | None
) -> None:
    factors = after(*told)
    assert factors.phase == Idle()
    assert factors.outcomes[-1] == Refused(reason, person)
    assert reason.hint


def test_a_wrong_pin_is_asked_for_again_so_often_and_each_counts() -> None:
    factors, wrong = after(face(Rule.FACE_PIN)), 0
    for serial in (1, 2, 3):
        factors = after(*PIN, Checked(serial, Result.WRONG), factors=factors)
        (refused,) = factors.outcomes
        assert isinstance(refused, Refused)
        wrong += refused.reason.counts
        assert isinstance(factors.phase, Awaiting) == (serial < 3)
    assert wrong == SETTINGS.tries == 3


def test_the_duress_pin_passes_as_any_other() -> None:
    done = after(face(Rule.FACE_PIN), *PIN, Checked(1, Result.DURESS))
    assert done.passed == Passed(ADA, Rule.FACE_PIN, duress=True)


def test_whoever_takes_too_long_is_too_late_and_every_key_gives_more_time() -> None:
    factors = after(face(Rule.FACE_PIN), now=0.0)
    factors = after(Key("1"), now=14.9, factors=factors)
    assert begin_turn(factors, 29.8).outcomes == ()
    assert begin_turn(factors, 29.9).outcomes == (Refused(Refusal.TOO_LATE, ADA),)


def test_a_check_that_is_never_answered_ends() -> None:
    factors = after(face(Rule.FACE_PIN), *PIN, now=0.0)
    assert begin_turn(factors, 15.0).outcomes == (Refused(Refusal.NOT_CHECKED, ADA),)
    assert begin_turn(after(CardRead("1"), now=0.0), 15.0).phase == Idle()


def test_a_star_clears_and_what_is_too_long_stays_wrong() -> None:
    factors = after(face(Rule.FACE_PIN), Key("9"), Key("*"), *PIN)
    assert factors.checks[0].code == "246810"
    factors = after(face(Rule.FACE_PIN), *[Key("1")] * 40, Key("#"))
    assert factors.checks[0].code == "1" * 13


def test_enter_alone_and_keys_that_nobody_asked_for_change_nothing() -> None:
    assert after(face(Rule.FACE_PIN), Key("#")).checks == ()
    assert after(*PIN) == Factors()
    assert after(face(Rule.FACE_CARD), *PIN).checks == ()
    assert after(face(Rule.FACE_PIN), CardRead("4711")).checks == ()


def test_another_face_takes_the_place_and_a_halt_ends_it() -> None:
    factors = after(face(Rule.FACE_PIN), Key("1"), face(Rule.FACE_PIN, BEN), *PIN)
    assert factors.checks[0].person == BEN.id
    assert factors.checks[0].code == "246810"
    assert after(Halt(), factors=factors).phase == Idle()


def test_what_was_typed_is_in_no_repr() -> None:
    """Whatever is ever written of a state."""
    factors = after(face(Rule.FACE_PIN), Key("8"), Key("6"), Key("4"))
    assert "864" not in repr(factors)
    checking = advance(factors, Key("#"), 100.0, SETTINGS)
    assert isinstance(checking.phase, Checking)
    assert "864" not in repr(checking)
    assert "'8'" not in repr(Key("8"))


inputs = st.one_of(
    st.builds(FaceSeen, person=st.sampled_from([ADA, BEN]), rule=st.sampled_from(Rule), has_pin=st.booleans(),
              has_card=st.booleans()),
    st.builds(CardOf, failed=st.booleans(),
              serial=st.integers(0, 6), person=st.sampled_from([None, ADA, BEN]), has_pin=st.booleans(),
              opens=st.booleans()),
    st.builds(Checked, serial=st.integers(0, 6), result=st.sampled_from(Result)),
    st.builds(Key, st.sampled_from("0123456789*#")),
    st.builds(CardRead, st.sampled_from(["1", "22"])),
    st.just(Halt()),
)  # fmt: skip


@given(st.lists(st.tuples(st.floats(0, 20), inputs), max_size=60))
def test_nothing_passes_without_an_answer_to_what_was_just_asked(script: list[tuple[float, Any]]) -> None:
    """A pass follows in the very turn a right answer, of the newest check, after the person was asked."""
    factors, now, asked = Factors(), 0.0, None
    for wait, told in script:
        now += wait
        before = begin_turn(factors, now)
        factors = advance(before, told, now, SETTINGS)
        for outcome in factors.outcomes:
            if isinstance(outcome, Asked):
                asked = outcome.person
            if isinstance(outcome, Passed):
                assert isinstance(before.phase, Checking)
                assert outcome.person == asked
                assert told.serial == before.serial
                right = isinstance(told, Checked) and told.result in (Result.RIGHT, Result.DURESS)
                assert right or (isinstance(told, CardOf) and told.person == asked)
        assert len(factors.outcomes) <= 2
