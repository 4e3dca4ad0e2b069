"""The door: locked unless a grant says otherwise, and then only for a while."""

from __future__ import annotations

import pytest

from facelatch.config.machines import DoorConfig
from facelatch.machines import door
from facelatch.machines.door import Door, Locked, Order, Unlocked, advance
from facelatch.values.wires import LockLevel

SETTINGS = DoorConfig(unlock_seconds=5.0, max_unlock_seconds=8.0)
OPEN = Unlocked(100.0, 105.0)

Case = list[tuple[Door, Order, float, Door]]

ROWS: dict[tuple[str, str], Case] = {
    ("locked", "WAIT, LOCK"): [
        (Locked(), Order.WAIT, 100.0, Locked()),
        (Locked(), Order.LOCK, 100.0, Locked()),
    ],
    ("locked", "GRANT"): [(Locked(), Order.GRANT, 100.0, OPEN)],
    ("unlocked", "WAIT, before its end"): [(OPEN, Order.WAIT, 104.9, OPEN)],
    ("unlocked", "GRANT, before its end"): [
        (OPEN, Order.GRANT, 102.0, Unlocked(100.0, 107.0)),
        (OPEN, Order.GRANT, 104.0, Unlocked(100.0, 108.0)),
    ],
    ("unlocked", "WAIT or GRANT, at its end"): [
        (OPEN, Order.WAIT, 105.0, Locked()),
        (OPEN, Order.GRANT, 105.0, Locked()),
        (OPEN, Order.WAIT, 99.0, Locked()),
    ],
    ("unlocked", "LOCK"): [(OPEN, Order.LOCK, 101.0, Locked())],
    ("locked", "HOLD"): [(Locked(), Order.HOLD, 101.0, Locked())],
    ("unlocked", "HOLD"): [
        (OPEN, Order.HOLD, 101.0, Unlocked(100.0, 108.0)),
        (OPEN, Order.HOLD, 106.0, Unlocked(100.0, 108.0)),
        (Unlocked(100.0, 108.0), Order.HOLD, 108.0, Locked()),
    ],
}


def _documented(module: object) -> list[tuple[str, str]]:
    """The first two cells of each row of a module's table; a row without a first cell goes on the one above."""
    lines = [line for line in (module.__doc__ or "").splitlines() if line.startswith("|")][2:]
    cells = [(row[1].strip(), row[2].strip()) for row in (line.split("|") for line in lines)]
    return [cell for cell in cells if cell != ("", "")]


def test_the_table_in_the_docstring_is_the_one_tested() -> None:
    """The specification has no row without a test, and no test without a row."""
    assert [row for row in _documented(door) if row[0]] == list(ROWS)


@pytest.mark.parametrize("cases", ROWS.values(), ids=map(" + ".join, ROWS))
def test_row(cases: Case) -> None:
    """Each row of the table holds."""
    for before, order, now, after in cases:
        assert advance(before, order, now, SETTINGS) == after


def test_a_grant_unlocks_at_most_for_the_ceiling() -> None:
    """Even settings that contradict each other cannot keep the door unlocked past the ceiling."""
    careless = DoorConfig.model_construct(unlock_seconds=50.0, max_unlock_seconds=10.0)
    assert advance(Locked(), Order.GRANT, 100.0, careless) == Unlocked(100.0, 110.0)


def test_each_state_has_its_level() -> None:
    """The lock is told levels."""
    assert Locked().level is LockLevel.LOCKED
    assert OPEN.level is LockLevel.UNLOCKED
