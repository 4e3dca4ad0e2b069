"""A repeated picture is never evidence; a frozen one is a fault."""

from __future__ import annotations

import pytest

from facelatch.config.line import CameraConfig
from facelatch.machines import freshness
from facelatch.machines.freshness import Freshness, advance

SETTINGS = CameraConfig(frozen_after_seconds=10.0)
SEEN = Freshness(fingerprint=7, since=100.0, fresh=True)

ROWS = {
    ("any", "no new frame on this turn"): (SEEN, None, 200.0, Freshness(fingerprint=7, since=100.0)),
    ("nothing seen yet", "a picture"): (
        Freshness(),
        7,
        100.0,
        Freshness(fingerprint=7, since=100.0, fresh=True),
    ),
    ("seen", "another picture"): (SEEN, 8, 100.1, Freshness(fingerprint=8, since=100.1, fresh=True)),
    ("seen", "the same picture again"): (SEEN, 7, 109.9, Freshness(fingerprint=7, since=100.0)),
    ("seen", "the same one after `frozen_after_seconds`"): (
        SEEN,
        7,
        110.0,
        Freshness(fingerprint=7, since=100.0, frozen=True),
    ),
}


def _documented(module: object) -> list[tuple[str, str]]:
    """The first two cells of each row of a module's table."""
    lines = [line for line in (module.__doc__ or "").splitlines() if line.startswith("|")][2:]
    return [(cells[1].strip(), cells[2].strip()) for cells in (line.split("|") for line in lines)]


def test_the_table_in_the_docstring_is_the_one_tested() -> None:
    """The specification has no row without a test, and no test without a row."""
    assert _documented(freshness) == list(ROWS)


@pytest.mark.parametrize(("before", "fingerprint", "now", "after"), ROWS.values(), ids=map(" + ".join, ROWS))
def test_row(before: Freshness, fingerprint: int | None, now: float, after: Freshness) -> None:
    """Each row of the table holds."""
    assert advance(before, fingerprint, now, SETTINGS) == after


def test_a_picture_that_thaws_is_fresh_again() -> None:
    """The machine itself forgives; that a fault is final is the controller's business."""
    frozen = advance(SEEN, 7, 200.0, SETTINGS)
    assert frozen.frozen
    assert advance(frozen, 8, 200.1, SETTINGS) == Freshness(fingerprint=8, since=200.1, fresh=True)
