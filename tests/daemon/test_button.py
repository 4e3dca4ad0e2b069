"""From edges of the button to gestures."""

from __future__ import annotations

import pytest

from facelatch import button
from facelatch.button import Button, Gesture, Position, advance
from facelatch.config import EnrolmentConfig
from facelatch.values import Edge, EdgeKind

SETTINGS = EnrolmentConfig(hold_seconds=3.0, stuck_after_seconds=20.0)
UP, DOWN, HELD = Button(Position.UP), Button(Position.DOWN, 100.0), Button(Position.HELD, 100.0)
IGNORED = Button(Position.IGNORED, 100.0)


def press(at: float) -> Edge:
    return Edge(EdgeKind.PRESSED, at)


def release(at: float) -> Edge:
    return Edge(EdgeKind.RELEASED, at)


Case = list[tuple[Button, list[Edge], float, Button]]

ROWS: dict[tuple[str, str], Case] = {
    ("unknown (start)", "the first turn, no press in it"): [
        (Button(), [], 100.0, UP),
        (Button(), [press(99.0), release(99.5)], 100.0, UP),
    ],
    ("unknown (start)", "the first turn, a press in it"): [
        (Button(), [press(99.0)], 100.0, Button(Position.IGNORED))
    ],
    ("up", "pressed"): [(UP, [press(100.0)], 100.1, Button(Position.DOWN, 100.0, (Gesture.PRESS,)))],
    ("down", "held for `hold_seconds`"): [
        (DOWN, [], 102.9, DOWN),
        (DOWN, [], 103.0, Button(Position.HELD, 100.0, (Gesture.HOLD,))),
        (DOWN, [release(104.0)], 105.0, Button(Position.UP, gestures=(Gesture.HOLD,))),
    ],
    ("down", "released before"): [(DOWN, [release(102.9)], 104.0, UP)],
    ("held", "released"): [(HELD, [release(105.0)], 105.0, UP)],
    ("down, held", "down for `stuck_after_seconds`"): [
        (HELD, [], 119.9, HELD),
        (HELD, [], 120.0, Button(Position.IGNORED, 100.0, (Gesture.STUCK,))),
        (DOWN, [], 120.0, Button(Position.IGNORED, 100.0, (Gesture.STUCK,))),
    ],
    ("ignored", "anything but released"): [
        (IGNORED, [], 500.0, IGNORED),
        (IGNORED, [press(500.0)], 501.0, IGNORED),
    ],
    ("ignored", "released"): [(IGNORED, [release(500.0)], 500.0, UP)],
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


def test_a_button_down_at_start_does_nothing_until_released() -> None:
    """Whoever jams the button before the power comes back arms nothing."""
    state = advance(Button(), [press(0.0)], 0.1, SETTINGS)
    for now in range(1, 100):
        state = advance(state, [], float(now), SETTINGS)
        assert state.gestures == ()
    state = advance(state, [release(100.0), press(101.0)], 101.0, SETTINGS)
    assert state.gestures == (Gesture.PRESS,)
