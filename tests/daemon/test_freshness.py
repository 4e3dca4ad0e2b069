"""A repeated picture is never evidence; a frozen one is a fault."""

from __future__ import annotations

import pytest

from facelatch.config.line import CameraConfig
from facelatch.machines import freshness
from facelatch.machines.freshness import Freshness, advance

SETTINGS = CameraConfig(frozen_after_seconds=10.0)
SEEN = Freshness(recent=(6, 7), since=100.0, fresh=True)
STALE = Freshness(recent=(6, 7), since=100.0)

ROWS = {
    ("any", "no new frame on this turn, or one that is clipped"): (SEEN, None, 200.0, STALE),
    ("nothing seen yet", "a picture"): (
        Freshness(),
        7,
        100.0,
        Freshness(recent=(7,), since=100.0, fresh=True),
    ),
    ("seen", "a picture that is none of the last REMEMBERED"): (
        SEEN,
        8,
        100.1,
        Freshness(recent=(6, 7, 8), since=100.1, fresh=True),
    ),
    ("seen", "one of the last REMEMBERED again"): (SEEN, 6, 109.9, STALE),
    ("seen", "nothing but those for `frozen_after_seconds`"): (
        SEEN,
        7,
        110.0,
        Freshness(recent=(6, 7), since=100.0, frozen=True),
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
    assert advance(frozen, 8, 200.1, SETTINGS) == Freshness(recent=(6, 7, 8), since=200.1, fresh=True)


@pytest.mark.parametrize("length", [1, 2, 300, 1024])
def test_a_loop_of_pictures_is_new_once_and_then_frozen(length: int) -> None:
    """However many pictures are shown in turn, the second round is no evidence."""
    state, fresh = Freshness(), 0
    for number in range(3 * length + 200):
        state = advance(state, number % length, number / 15, SETTINGS)
        fresh += state.fresh
    assert fresh == length
    assert state.frozen


def test_a_recording_shown_for_a_trial_may_run_round() -> None:
    """Two pictures in turn are new each time, one is not."""
    recorded = CameraConfig(source="files", frozen_after_seconds=10.0)
    state = advance(advance(Freshness(), 1, 0.0, recorded), 2, 0.1, recorded)
    assert advance(state, 1, 0.2, recorded).fresh
    assert not advance(state, 2, 0.2, recorded).fresh


def test_memory_is_bounded() -> None:
    """A year of pictures takes no more room than a minute."""
    state = Freshness()
    for number in range(3 * freshness.REMEMBERED):
        state = advance(state, number, float(number), SETTINGS)
    assert len(state.recent) == freshness.REMEMBERED
