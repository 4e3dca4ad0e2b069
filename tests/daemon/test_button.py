"""From edges of the button to gestures."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facelatch.config.machines import EnrolmentConfig
from facelatch.machines import button
from facelatch.machines.button import Button, Gesture, Position, advance
from facelatch.values.wires import Edge, EdgeKind

SETTINGS = EnrolmentConfig(hold_seconds=3.0, stuck_after_seconds=20.0)
UP, DOWN = Button(position=Position.UP), Button(position=Position.DOWN, since=100.0)
HELD = Button(position=Position.HELD, since=100.0)
ONE, TWO = Button(taps=1, tapped=100.2), Button(taps=2, tapped=100.2)
AGAIN = Button(position=Position.DOWN, since=100.0, taps=1, tapped=99.8)
EARLY, IGNORED = Button(position=Position.EARLY, since=100.0), Button(position=Position.IGNORED, since=100.0)


def press(at: float) -> Edge:
    return Edge(EdgeKind.PRESSED, at)


def found_down(at: float) -> Edge:
    return Edge(EdgeKind.FOUND_DOWN, at)


def release(at: float) -> Edge:
    return Edge(EdgeKind.RELEASED, at)


Case = list[tuple[Button, list[Edge], float, Button]]

ROWS: dict[tuple[str, str], Case] = {
    ("up (start)", "found down as its line was claimed"): [
        (Button(), [found_down(100.0)], 100.1, EARLY),
        (Button(), [found_down(99.0), release(99.5)], 100.0, UP),
    ],
    ("up", "pressed"): [(UP, [press(100.0)], 100.1, replace(DOWN, gestures=(Gesture.PRESS,)))],
    ("up", "for `PAUSE_SECONDS` after two taps"): [
        (TWO, [], 100.7, TWO),
        (TWO, [], 100.85, Button(gestures=(Gesture.TWICE,))),
        (
            TWO,
            [press(101.0)],
            101.0,
            Button(position=Position.DOWN, since=101.0, gestures=(Gesture.TWICE, Gesture.PRESS)),
        ),
    ],
    ("up", "for `PAUSE_SECONDS` after others"): [
        (ONE, [], 100.85, UP),
        (replace(TWO, taps=3), [], 100.85, UP),
    ],
    ("down", "held for `hold_seconds`"): [
        (DOWN, [], 102.9, DOWN),
        (DOWN, [], 103.0, Button(position=Position.HELD, since=100.0, gestures=(Gesture.HOLD,))),
        (DOWN, [release(104.0)], 105.0, Button(position=Position.UP, gestures=(Gesture.HOLD,))),
    ],
    ("down", "released after a tap's time"): [
        (DOWN, [release(100.2)], 100.3, Button(taps=1, tapped=100.2)),
        (AGAIN, [release(100.2)], 100.3, TWO),
        (replace(AGAIN, taps=3), [release(100.2)], 100.3, replace(TWO, taps=3)),
    ],
    ("down", "released earlier, a bounce"): [(AGAIN, [release(100.03)], 100.1, replace(ONE, tapped=99.8))],
    ("down", "released later"): [
        (DOWN, [release(102.9)], 104.0, UP),
        (AGAIN, [release(100.6)], 100.6, Button(taps=3, tapped=100.6)),
    ],
    ("held", "released"): [(HELD, [release(105.0)], 105.0, UP)],
    ("early, down, held", "down for `stuck_after_seconds`"): [
        (EARLY, [], 119.9, EARLY),
        (EARLY, [], 120.0, Button(position=Position.IGNORED, since=100.0, gestures=(Gesture.STUCK,))),
        (HELD, [], 119.9, HELD),
        (HELD, [], 120.0, Button(position=Position.IGNORED, since=100.0, gestures=(Gesture.STUCK,))),
        (DOWN, [], 120.0, Button(position=Position.IGNORED, since=100.0, gestures=(Gesture.STUCK,))),
    ],
    ("early, ignored", "anything but released"): [
        (EARLY, [press(101.0)], 110.0, EARLY),
        (IGNORED, [], 500.0, IGNORED),
        (IGNORED, [press(500.0)], 501.0, IGNORED),
    ],
    ("early, ignored", "released"): [
        (EARLY, [release(101.0)], 101.0, UP),
        (IGNORED, [release(500.0)], 500.0, UP),
    ],
}


def test_the_table_in_the_docstring_is_the_one_tested() -> None:
    """The specification has no row without a test, and no test without a row."""
    lines = [line for line in (button.__doc__ or "").splitlines() if line.startswith("|")][2:]
    assert [tuple(cell.strip() for cell in line.split("|")[1:3]) for line in lines] == list(ROWS)


@pytest.mark.parametrize("cases", ROWS.values(), ids=map(" + ".join, ROWS))
def test_row(cases: Case) -> None:
    """Each row of the table holds."""
    for before, edges, now, after in cases:
        assert advance(before, edges, now, SETTINGS) == after


def test_a_hold_and_a_stuck_button_are_each_told_once() -> None:
    """A button that stays down gives one HOLD and one STUCK, however long the loop turns."""
    state, told = UP, []
    for turn in range(400):
        state = advance(state, [press(0.0)] if turn == 0 else [], turn * 0.1, SETTINGS)
        told += state.gestures
    assert told == [Gesture.PRESS, Gesture.HOLD, Gesture.STUCK]


def test_a_button_down_at_start_arms_nothing_and_is_told_stuck_once() -> None:
    """Whoever jams the button before the power comes back gets no enrolment; whoever cares for the door hears of it."""
    state, told = Button(), []
    for turn in range(400):
        state = advance(state, [found_down(0.0)] if turn == 0 else [], turn * 0.1, SETTINGS)
        told += state.gestures
    assert told == [Gesture.STUCK]
    state = advance(state, [release(100.0), press(101.0)], 101.0, SETTINGS)
    assert state.gestures == (Gesture.PRESS,)


def test_a_press_before_the_first_turn_is_a_press() -> None:
    """The first turn may be late: a slow camera, a busy machine."""
    assert advance(Button(), [press(95.0)], 100.0, SETTINGS).gestures == (Gesture.PRESS, Gesture.HOLD)


def gestures(*presses: tuple[float, float], until: float = 60.0, free: bool = True) -> list[Gesture]:
    """What `presses` (when, for how long) amount to for a loop that turns ten times a second."""
    edges = [edge for at, long in presses for edge in (press(at), release(at + long))]
    state, told = Button(), []
    for turn in range(round(until * 10)):
        now = turn / 10
        due, edges = [edge for edge in edges if edge.at <= now], [edge for edge in edges if edge.at > now]
        state = advance(state, due, now, SETTINGS, free=free)
        told += state.gestures
    return told


def test_two_short_presses_are_told_once_they_cannot_be_the_beginning_of_anything_else() -> None:
    assert gestures((10.0, 0.15), (10.4, 0.15)) == [Gesture.PRESS, Gesture.PRESS, Gesture.TWICE]


@pytest.mark.parametrize(
    "presses",
    [
        [(10.0, 0.15)],
        [(10.0, 0.15), (11.0, 0.15)],
        [(10.0, 0.15), (10.4, 0.15), (10.8, 0.15)],
        [(10.0 + n * 0.02, 0.01) for n in range(200)],
        [(10.0 + n * 0.12, 0.06) for n in range(200)],
        [(10.0, 0.15), (10.4, 0.7)],
        [(10.0, 0.15), (10.4, 4.0)],
        [(10.0, 0.15), (10.4, 25.0)],
    ],
    ids=["one", "two far apart", "three", "bouncing", "chattering", "short, long", "short, held", "stuck"],
)
def test_nothing_else_is_taken_for_two_short_presses(presses: list[tuple[float, float]]) -> None:
    assert Gesture.TWICE not in gestures(*presses)


def test_a_press_in_a_hurry_during_an_enrolment_and_after_it_shows_no_picture() -> None:
    """The first one ends it; those that follow without a pause mean the same."""
    state = advance(Button(), [press(10.0), release(10.1)], 10.1, SETTINGS, free=False)
    state = advance(state, [press(10.3), release(10.4), press(10.6), release(10.7)], 10.8, SETTINGS)
    assert Gesture.TWICE not in advance(state, [], 12.0, SETTINGS).gestures
    assert gestures((10.0, 0.15), (10.4, 0.15), free=False) == [Gesture.PRESS, Gesture.PRESS]


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.floats(0, 20), st.floats(0.01, 30)), max_size=6),
    st.floats(0.1, 2.0),
)
def test_no_two_gestures_come_of_the_same_press(presses: list[tuple[float, float]], turn: float) -> None:
    """However slow the loop: a press that is held is no tap, and what is told twice took two presses each."""
    edges, at = [], 0.0
    for pause, long in presses:
        edges += [press(at + pause), release(at + pause + long)]
        at += pause + long
    state, told, now = Button(), [], 0.0
    while now < at + 3.0:
        now += turn
        due, edges = [edge for edge in edges if edge.at <= now], [edge for edge in edges if edge.at > now]
        state = advance(state, due, now, SETTINGS)
        told += state.gestures
    assert told.count(Gesture.HOLD) * 1 + told.count(Gesture.TWICE) * 2 <= len(presses)
    assert told.count(Gesture.PRESS) <= len(presses)


def test_every_gesture_is_in_the_table_of_all() -> None:
    assert set(button.GESTURES) == set(Gesture)
    assert len({how for how, _ in button.card()}) == len(Gesture)
