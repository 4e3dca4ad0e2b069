"""References: the mean of both sides, in the length the model gave them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from facelatch.vision.references import embed_reference, mean_of_sides

ROWS = arrays(np.float32, (3, 5), elements=st.floats(-10, 10, width=32))


def corners(crop: np.ndarray) -> np.ndarray:
    return np.array([crop[0, 0, 0], crop[0, -1, 0]], np.float32)


def test_a_reference_and_its_mirror_image_are_the_same_reference() -> None:
    crop = np.zeros((112, 112, 3), np.uint8)
    crop[0, 0] = 200
    reference = embed_reference(corners, crop)
    assert reference[0] == pytest.approx(reference[1])
    np.testing.assert_allclose(reference, embed_reference(corners, crop[:, ::-1]))


@given(ROWS, ROWS)
def test_the_mean_lies_between_and_is_as_long_as_both_on_average(one: np.ndarray, other: np.ndarray) -> None:
    mean, both = mean_of_sides(one, other), one + other
    assert mean.dtype == np.float32
    assert np.isfinite(mean).all()
    apart = np.linalg.norm(both, axis=1) > 1e-3
    lengths = (np.linalg.norm(one, axis=1) + np.linalg.norm(other, axis=1)) / 2
    np.testing.assert_allclose(np.linalg.norm(mean, axis=1)[apart], lengths[apart], rtol=1e-3)
    # In the direction of the sum, which is that of the mean.
    cosine = np.sum(mean * both, axis=1)[apart] / (lengths * np.linalg.norm(both, axis=1))[apart]
    np.testing.assert_allclose(cosine, 1, rtol=1e-3)


def test_of_sides_that_cancel_out_the_first_counts_and_no_reference_is_nothing() -> None:
    one = np.array([[1.0, -2.0], [3.0, 1.0]], np.float32)
    np.testing.assert_array_equal(mean_of_sides(one, -one), one)
    np.testing.assert_array_equal(mean_of_sides(one[0], -one[0]), one[0])
