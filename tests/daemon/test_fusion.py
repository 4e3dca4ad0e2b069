"""Several pictures as one: direction of the mean, length of the model's own, outliers and quality."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from facelatch.values.pictures import Pose
from facelatch.vision import fusion
from facelatch.vision.quality import Measures

ROWS = arrays(np.float32, (4, 6), elements=st.floats(-10, 10, width=32))
WEIGHTS = arrays(np.float64, 4, elements=st.floats(0.05, 1))


def seen(**changes: object) -> Measures:
    """A sharp, large, straight face."""
    given_measures = {
        "eye_distance_px": 40.0,
        "brightness": 120.0,
        "contrast": 40.0,
        "sharpness": 20.0,
        "pose": Pose(0.0, 0.0, 0.0),
        "cut_off": False,
    }
    return Measures(**{**given_measures, **changes})  # type: ignore[arg-type]


def test_one_picture_is_itself() -> None:
    row = np.array([[3.0, -4.0]], np.float32)
    np.testing.assert_allclose(fusion.fused(row, np.array([0.3])), row[0], rtol=1e-6)


@given(ROWS, WEIGHTS)
def test_the_mean_is_finite_and_no_shorter_than_its_pictures_on_average(
    rows: np.ndarray, weights: np.ndarray
) -> None:
    mean = fusion.fused(rows, weights)
    assert mean.dtype == np.float32
    assert np.isfinite(mean).all()
    shares = weights / weights.sum()
    if np.linalg.norm(shares @ rows) > 1e-2:
        average = float(shares @ np.linalg.norm(rows, axis=1))
        assert average * 0.999 <= np.linalg.norm(mean) <= average * (1 + fusion.SPREAD_STRENGTH) * 1.001


def test_what_pictures_differ_in_makes_their_mean_longer() -> None:
    alike, unlike = np.array([[1, 0.1], [1, -0.1]], np.float32), np.array([[1, 1], [1, -1]], np.float32)
    alike /= np.linalg.norm(alike, axis=1, keepdims=True)
    unlike /= np.linalg.norm(unlike, axis=1, keepdims=True)
    lengths = [np.linalg.norm(fusion.fused(rows, np.ones(2))) for rows in (alike, unlike)]
    assert lengths[0] == pytest.approx(1, abs=0.01)
    assert lengths[1] == pytest.approx(1 + fusion.SPREAD_STRENGTH * (1 - np.sqrt(0.5)))


def test_pictures_that_cancel_out_are_the_first() -> None:
    rows = np.array([[1.0, -2.0], [-1.0, 2.0]], np.float32)
    np.testing.assert_array_equal(fusion.fused(rows, np.ones(2)), rows[0])
    np.testing.assert_array_equal(fusion.middle(rows), rows[0])


def test_a_batch_is_fused_row_by_row() -> None:
    rows = np.random.default_rng(0).normal(size=(5, 3, 8)).astype(np.float32)
    weights = np.random.default_rng(1).random((5, 3)) + 0.1
    one_by_one = [fusion.fused(row, weight) for row, weight in zip(rows, weights, strict=True)]
    np.testing.assert_allclose(fusion.fused(rows, weights), one_by_one, rtol=1e-5)


def test_the_odd_one_of_four_is_an_outlier_and_of_two_neither_is() -> None:
    rows = np.array([[1, 0], [1, 0.1], [1, -0.1], [-0.2, 1]], np.float32)
    assert fusion.belonging(rows, np.ones(4)).tolist() == [True, True, True, False]
    assert fusion.belonging(rows[2:], np.ones(2)).all()


@pytest.mark.parametrize(
    "worse", [{"sharpness": 7.0}, {"eye_distance_px": 16.0}, {"pose": Pose(0.6, 0.0, 0.0)}, {"pose": Pose(0, -0.4, 0)}]
)
def test_a_blurred_small_or_turned_picture_counts_less_and_never_nothing(worse: dict[str, object]) -> None:
    assert 0 < fusion.weight(seen(**worse)) < fusion.weight(seen()) == 1


@given(st.floats(0, 300), st.floats(0, 1e4), st.floats(-2, 2), st.floats(-2, 2))
def test_every_weight_lies_between_nothing_and_one(sharp: float, size: float, yaw: float, pitch: float) -> None:
    one = fusion.weight(seen(sharpness=sharp, eye_distance_px=size, pose=Pose(yaw, pitch, 0.0)))
    assert 0 < one <= 1


def test_references_move_towards_their_owner_s_mean_only_and_keep_their_length() -> None:
    rows = np.array([[2, 0], [0, 2], [5, 5]], np.float32)
    moved = fusion.halfway(rows, np.array([0, 0, 1]))
    np.testing.assert_allclose(moved[2], rows[2])
    np.testing.assert_allclose(np.linalg.norm(moved[:2], axis=1), 2, rtol=1e-5)
    assert moved[0] @ moved[1] > rows[0] @ rows[1]
    assert fusion.halfway(np.zeros((0, 0), np.float32), np.zeros(0, np.intp)).shape == (0, 0)
