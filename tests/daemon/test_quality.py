"""What is measured on a face, and which pictures are refused for it."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from facelatch.config.line import QualityConfig
from facelatch.values.observations import Reason
from facelatch.values.pictures import Box, Face, Image, Pose
from facelatch.vision import quality
from facelatch.vision.align import TEMPLATE, align
from facelatch.vision.quality import Measures

LIMITS = QualityConfig()
STRAIGHT = Pose(0.0, 0.0, 0.0)
GOOD = Measures(eye_distance_px=35.0, brightness=120.0, contrast=35.0, sharpness=18.0, pose=STRAIGHT, cut_off=False)


@pytest.fixture(scope="module")
def portrait() -> tuple[Image, Face]:
    """A portrait in the public domain with its landmarks, set by hand."""
    data = pytest.importorskip("skimage.data", reason="scikit-image, which ships the portrait, is not installed")
    landmarks = np.array([[203, 101.5], [246, 104], [223, 126], [203, 140], [244, 141]], np.float32)
    return data.astronaut(), Face(Box(180, 70, 85, 105), landmarks, 1.0)


def measured(image: Image, face: Face) -> Measures:
    crop = align(image, face.landmarks)
    assert crop is not None
    return quality.measure(image.shape, face, crop)


def moved(face: Face, landmarks: np.ndarray) -> Face:
    return replace(face, landmarks=landmarks.astype(np.float32))


def test_a_good_portrait_passes(portrait):
    image, face = portrait
    measures = measured(image, face)
    assert quality.judge(measures, LIMITS) is None
    assert measures.eye_distance_px == pytest.approx(43, abs=2)
    assert not measures.cut_off


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda image: (image * 0.05).astype(np.uint8), Reason.TOO_DARK),
        (lambda image: np.clip(image * 8.0 + 90, 0, 255).astype(np.uint8), Reason.TOO_BRIGHT),
        (lambda image: (image * 0.02 + 120).astype(np.uint8), Reason.LOW_CONTRAST),
        (lambda image: cv2.GaussianBlur(image, (0, 0), 5), Reason.BLURRED),
        (lambda image: cv2.blur(image, (25, 1)), Reason.BLURRED),
        (lambda image: cv2.blur(image, (1, 25)), Reason.BLURRED),
        (lambda image: np.zeros_like(image), Reason.TOO_DARK),
        (lambda image: np.full_like(image, 255), Reason.TOO_BRIGHT),
        (lambda image: np.full_like(image, 128), Reason.LOW_CONTRAST),
    ],
    ids=["dark", "glare", "fog", "defocus", "moving sideways", "moving up", "black", "white", "grey"],
)
def test_a_spoilt_portrait_is_refused_with_its_reason(portrait, spoil, reason: Reason):
    image, face = portrait
    assert quality.judge(measured(spoil(image), face), LIMITS) is reason


def test_sharpness_is_the_same_in_dim_light_and_in_haze(portrait):
    image, face = portrait
    sharp = measured(image, face).sharpness
    assert measured((image * 0.4).astype(np.uint8), face).sharpness == pytest.approx(sharp, rel=0.15)
    assert measured((image * 0.5 + 100).astype(np.uint8), face).sharpness == pytest.approx(sharp, rel=0.15)


def test_a_small_sharp_face_is_not_called_blurred(portrait):
    image, face = portrait
    factor = 16 / 43
    small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    assert quality.judge(measured(small, moved(face, face.landmarks * factor)), LIMITS) is None


def test_a_face_far_away_is_too_small(portrait):
    image, face = portrait
    small = cv2.resize(image, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    assert quality.judge(measured(small, moved(face, face.landmarks * 0.25)), LIMITS) is Reason.TOO_SMALL


@pytest.mark.parametrize(
    "cut", [np.s_[:, 195:], np.s_[:, :250], np.s_[95:], np.s_[:155]], ids=["left", "right", "brow", "chin"]
)
def test_a_face_at_the_border_is_cut_off(portrait, cut):
    image, face = portrait
    rows, columns = cut if isinstance(cut, tuple) else (cut, slice(None))
    shift = np.array([columns.start or 0, rows.start or 0])
    part = np.ascontiguousarray(image[cut])
    assert quality.judge(measured(part, moved(face, face.landmarks - shift)), LIMITS) is Reason.CUT_OFF


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"cut_off": True, "eye_distance_px": 5.0}, Reason.CUT_OFF),
        ({"eye_distance_px": 5.0, "pose": Pose(1.5, 0, 0)}, Reason.TOO_SMALL),
        ({"eye_distance_px": float("nan")}, Reason.TOO_SMALL),
        ({"pose": Pose(1.1, 0, 0), "brightness": 1.0}, Reason.TURNED_AWAY),
        ({"pose": Pose(-1.1, 0, 0)}, Reason.TURNED_AWAY),
        ({"pose": Pose(0, 0.7, 0)}, Reason.TURNED_AWAY),
        ({"pose": Pose(0, 0, -40)}, Reason.TURNED_AWAY),
        ({"pose": Pose(float("nan"), 0, 0)}, Reason.TURNED_AWAY),
        ({"brightness": 10.0, "contrast": 2.0}, Reason.TOO_DARK),
        ({"brightness": 250.0}, Reason.TOO_BRIGHT),
        ({"contrast": 2.0, "sharpness": 1.0}, Reason.LOW_CONTRAST),
        ({"sharpness": 1.0}, Reason.BLURRED),
        ({}, None),
    ],
)
def test_the_first_thing_to_change_is_named(change, reason):
    assert quality.judge(replace(GOOD, **change), LIMITS) is reason


def test_the_template_itself_looks_straight_ahead():
    pose = quality.pose(TEMPLATE)
    assert (pose.yaw, pose.pitch) == pytest.approx((0, 0), abs=1e-6)
    assert pose.roll == pytest.approx(0, abs=0.5)


def test_a_nose_towards_image_right_is_positive_yaw_and_one_eye_away_is_one():
    landmarks = TEMPLATE.copy()
    landmarks[2, 0] += np.linalg.norm(TEMPLATE[1] - TEMPLATE[0]) / 2
    assert quality.pose(landmarks).yaw == pytest.approx(1.0, abs=0.02)


def test_a_nose_up_is_negative_pitch():
    landmarks = TEMPLATE.copy()
    landmarks[2, 1] -= 10
    assert quality.pose(landmarks).pitch == pytest.approx(-0.49, abs=0.02)


@given(st.floats(-80, 80), st.floats(0.1, 20), st.floats(-500, 500), st.floats(-500, 500))
def test_tilt_size_and_place_change_only_the_roll(degrees: float, scale: float, x: float, y: float):
    angle = np.radians(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks = TEMPLATE.copy()
    landmarks[2] += (7, -4)
    before, after = quality.pose(landmarks), quality.pose((landmarks @ turn.T + (x, y)).astype(np.float32))
    assert after.yaw == pytest.approx(before.yaw, abs=0.01)
    assert after.pitch == pytest.approx(before.pitch, abs=0.01)
    assert after.roll - before.roll == pytest.approx(degrees, abs=0.2)


_landmarks = hnp.arrays(np.float32, (5, 2), elements=st.floats(width=32) | st.floats(-50, 400, width=32))


@given(_landmarks, hnp.arrays(np.uint8, (112, 112, 3), elements=st.integers(0, 255), fill=st.integers(0, 255)))
def test_any_landmarks_and_any_crop_are_judged(landmarks: np.ndarray, crop: Image):
    face = Face(Box(0, 0, 1, 1), landmarks, 1.0)
    measures = quality.measure((480, 640, 3), face, crop)
    assert quality.judge(measures, LIMITS) is None or isinstance(quality.judge(measures, LIMITS), Reason)
    pose = quality.pose(landmarks)
    assert abs(pose.yaw) <= 2
    assert abs(pose.pitch) <= 2


@given(_landmarks.filter(lambda points: not np.isfinite(points).all()))
def test_landmarks_that_are_no_numbers_are_never_good(landmarks: np.ndarray):
    face = Face(Box(0, 0, 1, 1), landmarks, 1.0)
    crop = np.random.default_rng(0).integers(0, 255, (112, 112, 3), dtype=np.uint8)
    assert quality.judge(quality.measure((480, 640, 3), face, crop), LIMITS) is not None
