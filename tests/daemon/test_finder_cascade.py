"""OpenCV's cascade as face finder."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facelatch.adapters.models import finder_cascade
from facelatch.adapters.models.finder_cascade import CascadeFinder
from facelatch.errors import ModelError
from facelatch.values.pictures import Box, Face, Image

EYES_AND_MOUTH = np.array([[203, 101.5], [246, 104], [223, 126], [203, 140], [244, 141]], np.float32)
"""In the portrait, set by hand."""


@pytest.fixture(scope="module")
def finder() -> CascadeFinder:
    return CascadeFinder(0.6)


@pytest.fixture(scope="module")
def portrait() -> Image:
    """A portrait in the public domain, 512x512."""
    return pytest.importorskip("skimage.data", reason="no scikit-image, no portrait").astronaut()


def assert_is_the_portrait(face: Face, scale: float = 1.0, shift: tuple[float, float] = (0, 0)) -> None:
    """The estimated landmarks lie within a fifth of the eye distance of the real ones, in the mean."""
    real = EYES_AND_MOUTH * scale + shift
    error = np.linalg.norm(face.landmarks - real, axis=1).mean() / np.linalg.norm(real[1] - real[0])
    assert error < 0.2
    assert face.landmarks.dtype == np.float32
    centre = np.array([face.box.x + face.box.width / 2, face.box.y + face.box.height / 2])
    assert np.linalg.norm(centre - real.mean(axis=0)) < face.box.width / 3


def test_it_finds_the_face_and_estimates_its_landmarks(finder: CascadeFinder, portrait: Image):
    best = finder.find(portrait)[0]
    assert_is_the_portrait(best)
    assert 0.6 <= best.score <= 1


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_coordinates_are_in_pixels_of_the_given_picture(finder: CascadeFinder, portrait: Image, scale: float):
    resized = cv2.resize(portrait, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    assert_is_the_portrait(finder.find(resized)[0], scale)


def test_a_face_is_found_in_a_picture_of_twelve_megapixels(finder: CascadeFinder, portrait: Image):
    large = np.full((3000, 4000, 3), 90, np.uint8)
    large[300:2860, 700:3260] = cv2.resize(portrait, (2560, 2560), interpolation=cv2.INTER_LINEAR)
    assert_is_the_portrait(finder.find(large)[0], 5.0, (700, 300))


def test_a_region_is_searched_alone(finder: CascadeFinder, portrait: Image):
    assert_is_the_portrait(finder.find_near(portrait, Box(130, 20, 200, 220))[0])
    assert finder.find_near(portrait, Box(300, 300, 200, 200)) == []


@pytest.mark.parametrize("region", [Box(900, 900, 50, 50), Box(float("nan"), 0, 10, 10)])
def test_a_region_outside_means_the_whole_picture(finder: CascadeFinder, portrait: Image, region: Box):
    assert_is_the_portrait(finder.find_near(portrait, region)[0])


def test_two_faces_are_two_finds_best_first(finder: CascadeFinder, portrait: Image):
    found = finder.find(np.hstack([portrait, portrait]))
    assert len([face for face in found if face.box.width > 60]) == 2
    assert [face.score for face in found] == sorted((face.score for face in found), reverse=True)


def test_a_grey_picture_of_a_face_is_a_face(finder: CascadeFinder, portrait: Image):
    grey = cv2.cvtColor(portrait, cv2.COLOR_RGB2GRAY)
    assert_is_the_portrait(finder.find(np.dstack([grey, grey, grey]))[0])


@pytest.mark.parametrize("level", [0, 128, 255])
def test_an_empty_picture_has_no_face(finder: CascadeFinder, level: int):
    assert finder.find(np.full((240, 320, 3), level, np.uint8)) == []


def test_a_higher_threshold_finds_a_part_of_what_a_lower_one_does(portrait: Image):
    scores = [[face.score for face in CascadeFinder(limit).find(portrait)] for limit in (0.0, 0.6, 0.99)]
    assert scores[1] == [score for score in scores[0] if score >= 0.6]
    assert scores[2] == []


@settings(max_examples=40)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 2**31), st.floats(0, 1))
def test_no_picture_makes_it_raise(height: int, width: int, seed: int, coarse: float):
    noise = np.random.default_rng(seed).integers(
        0, 256, (1 + int(height * coarse), 1 + int(width * coarse), 3)
    )
    image = cv2.resize(noise.astype(np.uint8), (width, height))
    for face in CascadeFinder(0.0).find(image):
        assert np.isfinite(face.landmarks).all()
        assert 0 <= face.score <= 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (4000, 1), (24, 24)])
def test_pictures_of_odd_shape_have_no_face(finder: CascadeFinder, shape: tuple[int, int]):
    assert finder.find(np.full((*shape, 3), 99, np.uint8)) == []


def test_an_opencv_without_cascades_is_refused_with_a_way_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(finder_cascade, "cv2", SimpleNamespace(__version__="5.0.0", error=cv2.error))
    with pytest.raises(ModelError, match=r"OpenCV 5\.0\.0 has no cascade classifier") as caught:
        CascadeFinder()
    assert "finder.kind" in caught.value.hint
