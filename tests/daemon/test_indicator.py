"""What the light and the buzzer say."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facelatch.machines.indicator import ROWS, Led, Pattern, card, choose, lamp
from facelatch.values.wires import Lamp


def _trace(pattern: Pattern, led: Led, seconds: float = 8.0) -> tuple[Lamp, ...]:
    """What is driven from the moment the pattern begins, every 50 ms."""
    return tuple(lamp(pattern, 1000.0 + n / 20, led, 1000.0) for n in range(int(seconds * 20)))


def test_every_pattern_has_a_row_in_order_of_priority() -> None:
    """The table is complete, and reads in the order in which patterns win."""
    assert list(ROWS) == list(Pattern)


def test_a_plain_led_tells_every_pattern_from_every_other() -> None:
    """No two patterns blink alike, so one LED is enough."""
    traces = {tuple(lamp.lit for lamp in _trace(pattern, "single")) for pattern in Pattern}
    assert len(traces) == len(Pattern)


def test_an_rgb_led_keeps_the_rhythm_and_adds_the_colour() -> None:
    """Somebody who cannot see the colour loses nothing."""
    for pattern in Pattern:
        single = [lamp.lit for lamp in _trace(pattern, "single")]
        assert [lamp.lit for lamp in _trace(pattern, "rgb")] == single


def test_green_alone_means_something_good_and_red_alone_something_bad() -> None:
    """Unlocked is never red, a fault and a refusal are never green."""
    assert lamp(Pattern.UNLOCKED, 3.0, "rgb") == Lamp(green=True)
    for bad in (Pattern.FAULT, Pattern.REFUSED, Pattern.LOCKED_OUT, Pattern.ALREADY_ENROLLED):
        assert {(lamp.red, lamp.green, lamp.blue) for lamp in _trace(bad, "rgb")} == {
            (True, False, False),
            (False, False, False),
        }


@pytest.mark.parametrize(
    ("pattern", "blinks"),
    [
        (Pattern.NOT_ENROLLED, 1),
        (Pattern.ALREADY_ENROLLED, 2),
        (Pattern.MOVE_MORE, 3),
        (Pattern.SECOND_PERSON, 4),
        (Pattern.NOT_AUTHORISED, 5),
        (Pattern.NOT_SAVED, 6),
        (Pattern.NOT_READABLE, 7),
    ],
)
def test_the_reason_of_a_failed_enrolment_can_be_counted(pattern: Pattern, blinks: int) -> None:
    """One group of blinks, as many as the card says, then a pause."""
    lit = [lamp.lit for lamp in _trace(pattern, "single", sum(ROWS[pattern].rhythm))]
    assert [before < after for before, after in pairwise([False, *lit])].count(True) == blinks
    assert f"{blinks} blink" in ROWS[pattern].words


def test_without_an_led_nothing_lights_but_the_buzzer_still_sounds() -> None:
    """A buzzer may be the only indicator."""
    trace = _trace(Pattern.UNLOCKED, "none")
    assert not any(lamp.lit for lamp in trace)
    assert any(lamp.buzzer for lamp in trace)


def test_the_buzzer_sounds_once_and_not_for_quiet_patterns() -> None:
    """It tells that something began; it does not go on."""
    assert not any(lamp.buzzer for lamp in _trace(Pattern.READY, "single"))
    trace = [lamp.buzzer for lamp in _trace(Pattern.REFUSED, "single")]
    assert [before < after for before, after in pairwise([False, *trace])].count(True) == 2
    assert not any(trace[20:])


def test_the_most_urgent_pattern_wins() -> None:
    """A fault hides everything, enrolment hides the door, and nothing at all is READY."""
    assert choose(set(Pattern)) is Pattern.FAULT
    assert choose({Pattern.UNLOCKED, Pattern.ARMED}) is Pattern.ARMED
    assert choose({Pattern.REFUSED, Pattern.LOCKED_OUT, Pattern.READY}) is Pattern.REFUSED
    assert choose(()) is Pattern.READY


@given(
    st.sampled_from(Pattern),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["none", "single", "rgb"]),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_the_lamp_is_total(pattern: Pattern, now: float, led: Led, since: float) -> None:
    """Whatever the time, there is something to drive."""
    assert isinstance(lamp(pattern, now, led, since), Lamp)


def test_the_card_has_a_row_for_each_pattern() -> None:
    """What the README shows is this table."""
    assert len(card()) == len(Pattern)
    assert all(all(cell for cell in row) for row in card())
