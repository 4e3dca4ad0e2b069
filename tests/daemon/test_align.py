"""The daemon and the training cut the same crop, and it is the one the model was trained on."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from facelatch.decoder.reader import read_image
from facelatch.vision.align import ALIGN_VERSION, CROP_SIZE_PX, TEMPLATE, align, similarity_transform

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
FACTS = json.loads((GOLDEN / "golden.json").read_text(encoding="utf-8"))

_angles = st.floats(-180, 180)
_scales = st.floats(0.2, 12)
_places = st.tuples(st.floats(-300, 900), st.floats(-300, 900))


def placed(points: np.ndarray, degrees: float, scale: float, place: tuple[float, float]) -> np.ndarray:
    angle = np.radians(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (points @ turn.T + place).astype(np.float32)


@pytest.mark.parametrize("name", sorted(FACTS["landmarks"]))
def test_the_crop_is_the_golden_one_to_a_grey_level(name: str):
    landmarks = np.array(FACTS["landmarks"][name], np.float32)
    crop = align(read_image(GOLDEN / "picture.png"), landmarks)
    difference = np.abs(crop.astype(int) - read_image(GOLDEN / f"crop-{name}.png").astype(int))
    assert difference.mean() < 1, "crops have changed: raise ALIGN_VERSION, retrain, run tests/golden/make_golden.py"
    assert np.percentile(difference, 99) <= 8


def test_the_golden_crop_belongs_to_this_version():
    assert FACTS["align_version"] == ALIGN_VERSION


def test_the_golden_test_would_notice_half_a_pixel():
    landmarks = np.array(FACTS["landmarks"]["small"], np.float32)
    crop = align(read_image(GOLDEN / "picture.png"), landmarks + 0.5)
    assert np.abs(crop.astype(int) - read_image(GOLDEN / "crop-small.png").astype(int)).mean() > 1


@given(_angles, _scales, _places)
def test_landmarks_shaped_like_the_template_land_on_it(degrees: float, scale: float, place: tuple[float, float]):
    landmarks = placed(TEMPLATE, degrees, scale, place)
    transform = similarity_transform(landmarks)
    assert transform is not None
    np.testing.assert_allclose(landmarks @ transform[:, :2].T + transform[:, 2], TEMPLATE, atol=0.01)


@given(hnp.arrays(np.float32, (5, 2), elements=st.floats(0, 640, width=32)))
def test_any_landmarks_get_the_transform_an_independent_library_finds(landmarks: np.ndarray):
    library = pytest.importorskip("skimage.transform", reason="no scikit-image, no reference").SimilarityTransform
    assume(np.linalg.svd(landmarks - landmarks.mean(axis=0))[1][1] > 5)
    ours = similarity_transform(landmarks)
    # Where the best fit is a tiny one, rounding decides its angle in both; where it would mirror, ours must not.
    assume(ours is not None and np.hypot(*ours[:, 0]) > 1e-3)
    if hasattr(library, "from_estimate"):
        reference = library.from_estimate(landmarks.astype(np.float64), TEMPLATE.astype(np.float64))
    else:  # before scikit-image 0.26
        reference = library()
        reference.estimate(landmarks.astype(np.float64), TEMPLATE.astype(np.float64))
    np.testing.assert_allclose(ours, reference.params[:2], rtol=1e-3, atol=1e-2)


@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 60), st.integers(1, 60), st.just(3)), fill=st.integers(0, 255)),
    hnp.arrays(np.float32, (5, 2), elements=st.floats(width=32) | st.floats(-2000, 2000, width=32)),
)
def test_any_picture_and_any_landmarks_give_a_crop_or_none(image: np.ndarray, landmarks: np.ndarray):
    crop = align(image, landmarks)
    assert crop is None or (crop.shape == (CROP_SIZE_PX, CROP_SIZE_PX, 3) and crop.dtype == np.uint8)


@pytest.mark.parametrize("landmarks", [np.full((5, 2), 7.0), np.full((5, 2), np.nan), np.zeros((4, 2))])
def test_landmarks_without_a_transform_give_none(landmarks: np.ndarray):
    assert align(np.zeros((50, 50, 3), np.uint8), landmarks.astype(np.float32)) is None


@pytest.mark.parametrize("scale", [2.2, 3.7, 9.3])
def test_a_large_face_lands_where_a_small_one_does(scale: float):
    """Reducing first moves nothing: a white dot at the nose ends at the template's nose."""
    landmarks = placed(TEMPLATE, 12.0, scale, (150.0, 40.0))
    image = np.zeros((1400, 1600, 3), np.uint8)
    cv2.circle(image, tuple(round(float(v)) for v in landmarks[2]), int(3 * scale), (255, 255, 255), -1)
    crop = align(image, landmarks)
    weight = crop[:, :, 0].astype(float)
    y, x = np.mgrid[:CROP_SIZE_PX, :CROP_SIZE_PX]
    centre = np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()
    np.testing.assert_allclose(centre, TEMPLATE[2], atol=0.35)


def test_a_large_face_does_not_alias():
    """Pixel-fine stripes on a face eight times the crop become grey, not coarse stripes."""
    image = np.zeros((1200, 1200, 3), np.uint8)
    image[:, ::2] = 255
    crop = align(image, placed(TEMPLATE, 0.0, 8.0, (100.0, 100.0)))
    assert crop[5:-5, 5:-5].std() < 20


@pytest.mark.parametrize("shape", [(40, 40_000, 3), (40_000, 40, 3)])
def test_a_picture_too_long_for_opencvs_warp_is_aligned_all_the_same(shape: tuple[int, int, int]):
    image = np.zeros(shape, np.uint8)
    image[:40, :40] = 200
    landmarks = TEMPLATE * 0.3
    crop = align(image, landmarks)
    assert crop is not None
    expected = align(np.ascontiguousarray(image[:200, :200]), landmarks)
    assert np.abs(crop.astype(int) - expected).max() <= 1
