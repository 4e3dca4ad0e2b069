"""What turns and what is only tilted: heads of five points in space, and pictures of them, before a pinhole camera."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sightings import judged

from facelatch.line.turning import measured
from facelatch.machines.challenge import STILL, TURN
from facelatch.values.observations import Judged, NoFace, Reason, Unusable, Verdict
from facelatch.values.pictures import Box, Face
from facelatch.vision.align import TEMPLATE
from facelatch.vision.parallax import nose_parallax

FOCAL_PX = 600.0
Points = NDArray[np.float64]


def head(protrusion_mm: float = 24.0) -> Points:
    """Eyes, nose, mouth corners in mm: x to image right, y down, z away from the camera."""
    return np.array(
        [[-32.0, 0, 0], [32.0, 0, 0], [0, 33.0, -protrusion_mm], [-26.0, 70.0, -2.0], [26.0, 70.0, -2.0]]
    )


def turned(points: Points, yaw: float, pitch: float = 0.0, roll: float = 0.0) -> Points:
    """About the neck, 80 mm behind; angles in degrees, yaw positive to image right."""
    a, b, c = (math.radians(angle) for angle in (yaw, pitch, roll))
    about_y = np.array([[math.cos(a), 0, -math.sin(a)], [0, 1, 0], [math.sin(a), 0, math.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, math.cos(b), -math.sin(b)], [0, math.sin(b), math.cos(b)]])
    about_z = np.array([[math.cos(c), -math.sin(c), 0], [math.sin(c), math.cos(c), 0], [0, 0, 1]])
    neck = np.array([0, 35.0, 80.0])
    return np.asarray((points - neck) @ (about_z @ about_x @ about_y).T + neck)


def seen(points: Points, distance_mm: float, x_mm: float = 0.0) -> NDArray[np.float32]:
    """Landmarks (5, 2) px."""
    depth = points[:, 2] + distance_mm
    return np.asarray(
        np.stack([FOCAL_PX * (points[:, 0] + x_mm) / depth, FOCAL_PX * points[:, 1] / depth], axis=1), np.float32
    )


def parallax(points: Points, distance_mm: float = 600.0, x_mm: float = 0.0) -> float:
    found = nose_parallax(seen(points, distance_mm, x_mm))
    assert found is not None
    return found


def photograph(bend_mm: float = 0.0, fold: float = 0.0) -> Points:
    """A straight face on paper, life-size, bent to a cylinder of this radius or folded by this angle along the nose."""
    flat = head(0.0)
    flat[:, 2] = 0
    if bend_mm:
        angles = flat[:, 0] / bend_mm
        flat[:, 2] = bend_mm * (1 - np.cos(angles))
        flat[:, 0] = bend_mm * np.sin(angles)
    flat[:, 2] += np.abs(flat[:, 0]) * math.tan(math.radians(fold))
    return flat


@pytest.mark.parametrize("protrusion", [18.0, 24.0, 30.0])
def test_a_head_that_turns_by_thirty_degrees_has_turned_enough(protrusion: float) -> None:
    """Flat noses and long ones, near and far, with the chin up or down; to its side, and as much either way."""
    for pitch in (-10.0, 0.0, 10.0):
        for distance in (350.0, 600.0, 1500.0):
            straight = parallax(turned(head(protrusion), 0, pitch), distance)
            right = parallax(turned(head(protrusion), 30, pitch), distance) - straight
            left = parallax(turned(head(protrusion), -30, pitch), distance) - straight
            assert right >= TURN
            assert left == pytest.approx(-right, abs=1e-3)


@given(
    st.floats(-60, 60), st.floats(-40, 40), st.floats(-40, 40), st.floats(300, 3000), st.floats(-150, 150)
)
def test_a_flat_picture_keeps_its_parallax_however_it_is_held(
    yaw: float, pitch: float, roll: float, distance: float, x_mm: float
) -> None:
    """Tilted, near, off to the side: a homography, which is taken away whole."""
    assert parallax(turned(photograph(), yaw, pitch, roll), distance, x_mm) == pytest.approx(
        parallax(photograph()), abs=1e-3
    )


@settings(max_examples=30)
@given(st.floats(80, 400), st.floats(-40, 40), st.floats(350, 1500))
def test_a_bent_picture_does_not_turn_enough(bend_mm: float, yaw: float, distance: float) -> None:
    """A cylinder as narrow as a head gives half of what a head does."""
    bent = photograph(bend_mm)
    assert abs(parallax(turned(bent, yaw), distance) - parallax(bent, distance)) < TURN


def test_a_picture_folded_along_the_nose_can_turn_enough() -> None:
    """A limit, and known: it is no flat picture any more. The card says so."""
    folded = photograph(fold=40)
    assert abs(parallax(turned(folded, 35)) - parallax(folded)) >= TURN
    folded = photograph(fold=15)
    assert abs(parallax(turned(folded, 35)) - parallax(folded)) < TURN


def test_a_head_that_only_moves_stays_straight() -> None:
    """Stepping aside by a hand's breadth or leaning to a shoulder is no turn."""
    straight = parallax(head())
    for x_mm in (-100.0, 100.0):
        assert abs(parallax(head(), 600, x_mm) - straight) < STILL
    for roll in (-30.0, 30.0):
        assert abs(parallax(turned(head(), 0, 0, roll)) - straight) < STILL


@settings(max_examples=50)
@given(st.lists(st.floats(width=32), min_size=10, max_size=10))
def test_any_five_points_give_a_number_or_none(values: list[float]) -> None:
    """Also where no homography exists; and the number is one."""
    points = np.array(values, np.float32).reshape(5, 2)
    found = nose_parallax(points)
    assert found is None or math.isfinite(found)


def test_only_a_judged_face_is_measured() -> None:
    """The template itself looks straight; a mirrored one is no face."""
    landmarks = TEMPLATE.astype(np.float32)
    face = Face(Box(0, 0, 112, 112), landmarks, 0.9)
    seen = measured(judged(Verdict(reason=Reason.NOT_RECOGNISED), face=face))
    assert isinstance(seen, Judged)
    assert seen.parallax == pytest.approx(0.0, abs=1e-4)
    unusable = Unusable(Reason.BLURRED, face)
    assert measured(unusable) is unusable
    assert measured(NoFace()) == NoFace()
    assert nose_parallax(landmarks[[1, 0, 2, 4, 3]]) is None
