"""Landmarks are sharpened on the aligned crop and come back into the picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facelatch.vision.align import TEMPLATE, halved
from facelatch.vision.finder_refine import INPUT_PX, UNIT_PX, mirrored_points, points_of, refine

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255))
FACE = (TEMPLATE - TEMPLATE.mean(axis=0)) / 35


def painted(points: np.ndarray, radius: int) -> np.ndarray:
    """A picture with a disc of its own colour on each landmark."""
    image = np.full((480, 640, 3), 60, np.uint8)
    for (x, y), colour in zip(points, COLOURS, strict=True):
        cv2.circle(
            image, (round(16 * float(x)), round(16 * float(y))), radius * 16, colour, -1, cv2.LINE_AA, 4
        )
    return image


def eye_for_discs(crop: np.ndarray) -> np.ndarray:
    """A perfect network for such pictures: the middle of each disc, image-left first."""
    assert crop.shape == (INPUT_PX, INPUT_PX, 3)
    found = []
    for colour in COLOURS:
        near = np.abs(crop.astype(int) - colour).max(axis=2) < 110
        rows, columns = np.nonzero(near)
        found.append([columns.mean(), rows.mean()])
    eyes, mouth = sorted(found[:2]), sorted(found[3:])
    points = np.array([*eyes, found[2], *mouth]) * 2 + 0.5  # of the half-size crop in the whole one
    return ((points - TEMPLATE) / UNIT_PX).astype(np.float32)


@pytest.mark.parametrize("eyes_px", [14, 40, 120])
@pytest.mark.parametrize("degrees", [-28, 0, 17])
def test_rough_landmarks_become_the_true_ones(eyes_px, degrees):
    turn = np.deg2rad(degrees)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    truth = (FACE * eyes_px) @ matrix.T + [321.3, 238.6]
    rng = np.random.default_rng(eyes_px)
    rough = truth + rng.normal(0, 0.07 * eyes_px, (5, 2))
    better = refine(painted(truth, max(2, eyes_px // 9)), rough.astype(np.float32), eye_for_discs)
    before, after = (np.hypot(*(points - truth).T).mean() / eyes_px for points in (rough, better))
    assert before > 0.04
    assert after < 0.025


numbers = st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True), min_size=10, max_size=10)


@settings(max_examples=100, deadline=None)
@given(numbers)
def test_whatever_the_network_says_landmarks_stay_finite_and_near_the_face(output):
    said = np.array(output, np.float32)
    rough = (FACE * 40 + [300, 200]).astype(np.float32)
    better = refine(np.zeros((480, 640, 3), np.uint8), rough, lambda crop: said)
    assert np.isfinite(better).all()
    assert np.hypot(*(better - rough).T).max() < 40


def test_landmarks_that_cannot_be_aligned_stay_as_they_are():
    same = np.full((5, 2), 7, np.float32)
    assert refine(np.zeros((50, 50, 3), np.uint8), same, eye_for_discs) is same


def test_half_size_is_the_mean_of_four_pixels():
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    small = halved(image)
    assert small.shape == (3, 4, 3)
    np.testing.assert_allclose(small[1, 2], image[2:4, 4:6].reshape(4, 3).mean(axis=0), atol=0.5)


def test_zero_means_the_template_and_mirroring_twice_is_nothing():
    np.testing.assert_array_equal(points_of(np.zeros(10, np.float32)), TEMPLATE)
    np.testing.assert_allclose(mirrored_points(mirrored_points(TEMPLATE)), TEMPLATE, atol=1e-4)
    assert mirrored_points(TEMPLATE)[0, 0] < mirrored_points(TEMPLATE)[1, 0]
