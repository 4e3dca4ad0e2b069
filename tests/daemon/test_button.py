"""From edges of the button to gestures."""

from __future__ import annotations

import pytest

from facelatch.config.machines import EnrolmentConfig
from facelatch.machines import button
from facelatch.machines.button import Button, Gesture, Position, advance
from facelatch.values.wires import Edge, EdgeKind

SETTINGS = EnrolmentConfig(hold_seconds=3.0, stuck_after_seconds=20.0)
UP, DOWN, HELD = Button(Position.UP), Button(Position.DOWN, 100.0), Button(Position.HELD, 100.0)
EARLY, IGNORED = Button(Position.EARLY, 100.0), Button(Position.IGNORED, 100.0)


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
    ("up", "pressed"): [(UP, [press(100.0)], 100.1, Button(Position.DOWN, 100.0, (Gesture.PRESS,)))],
    ("down", "held for `hold_seconds`"): [
        (DOWN, [], 102.9, DOWN),
        (DOWN, [], 103.0, Button(Position.HELD, 100.0, (Gesture.HOLD,))),
        (DOWN, [release(104.0)], 105.0, Button(Position.UP, gestures=(Gesture.HOLD,))),
    ],
    ("down", "released before"): [(DOWN, [release(102.9)], 104.0, UP)],
    ("held", "released"): [(HELD, [release(105.0)], 105.0, UP)],
    ("early, down, held", "down for `stuck_after_seconds`"): [
        (EARLY, [], 119.9, EARLY),
        (EARLY, [], 120.0, Button(Position.IGNORED, 100.0, (Gesture.STUCK,))),
        (HELD, [], 119.9, HELD),
        (HELD, [], 120.0, Button(Position.IGNORED, 100.0, (Gesture.STUCK,))),
        (DOWN, [], 120.0, Button(Position.IGNORED, 100.0, (Gesture.STUCK,))),
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
