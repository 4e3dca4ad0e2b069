"""YuNet as face finder, with the user's file (here: one of the shared data, where there is any)."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facelatch.adapters.models.finder_yunet import YuNetFinder
from facelatch.errors import ModelError
from facelatch.values.pictures import Box, Face, Image

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "reference"

EYES_AND_MOUTH = np.array([[203, 101.5], [246, 104], [223, 126], [203, 140], [244, 141]], np.float32)
"""In the portrait, set by hand."""


@pytest.fixture(scope="module")
def model() -> Path:
    files = sorted(SHARED.glob("yunet_*.onnx"))
    if not files:
        pytest.skip(f"no YuNet file in {SHARED}: it is not ours to ship")
    return files[-1]


@pytest.fixture(scope="module")
def finder(model: Path) -> YuNetFinder:
    return YuNetFinder(model, 0.6)


@pytest.fixture(scope="module")
def portrait() -> Image:
    """A portrait in the public domain, 512x512."""
    return pytest.importorskip("skimage.data", reason="no scikit-image, no portrait").astronaut()


def assert_is_the_portrait(face: Face, scale: float = 1.0, shift: tuple[float, float] = (0, 0)) -> None:
    """Every landmark lies within a sixth of the eye distance of its own: no two are swapped."""
    real = EYES_AND_MOUTH * scale + shift
    error = np.linalg.norm(face.landmarks - real, axis=1) / np.linalg.norm(real[1] - real[0])
    assert error.max() < 1 / 6
    assert face.landmarks.dtype == np.float32


def test_it_finds_the_face_and_its_landmarks_in_our_order(finder: YuNetFinder, portrait: Image):
    best = finder.find(portrait)[0]
    assert_is_the_portrait(best)
    assert 0.8 <= best.score <= 1


@pytest.mark.parametrize("scale", [0.5, 0.75, 2.0, 4.0])
def test_coordinates_are_in_pixels_of_the_given_picture(finder: YuNetFinder, portrait: Image, scale: float):
    resized = cv2.resize(portrait, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    assert_is_the_portrait(finder.find(resized)[0], scale)


def test_a_face_is_found_in_a_picture_of_twelve_megapixels(finder: YuNetFinder, portrait: Image):
    large = np.full((3000, 4000, 3), 90, np.uint8)
    large[300:2860, 700:3260] = cv2.resize(portrait, (2560, 2560), interpolation=cv2.INTER_LINEAR)
    assert_is_the_portrait(finder.find(large)[0], 5.0, (700, 300))


def test_the_size_of_the_picture_may_change_between_calls(finder: YuNetFinder, portrait: Image):
    for image in (portrait, portrait[:300, :400], portrait[:257, :391]):
        assert_is_the_portrait(finder.find(np.ascontiguousarray(image))[0])


def test_a_region_is_searched_alone(finder: YuNetFinder, portrait: Image):
    assert_is_the_portrait(finder.find_near(portrait, Box(130, 20, 200, 220))[0])
    assert finder.find_near(portrait, Box(300, 300, 200, 200)) == []


@pytest.mark.parametrize("region", [Box(900, 900, 50, 50), Box(float("nan"), 0, 10, 10)])
def test_a_region_outside_means_the_whole_picture(finder: YuNetFinder, portrait: Image, region: Box):
    assert_is_the_portrait(finder.find_near(portrait, region)[0])


def test_two_faces_are_two_finds(finder: YuNetFinder, portrait: Image):
    assert len(finder.find(np.hstack([portrait, portrait]))) == 2


def test_red_and_blue_are_given_to_it_in_its_own_order(finder: YuNetFinder, model: Path, portrait: Image):
    detector = cv2.FaceDetectorYN.create(str(model), "", (512, 512), 0.6, 0.3, 200)
    rows = detector.detect(cv2.cvtColor(portrait, cv2.COLOR_RGB2BGR))[1]
    assert finder.find(portrait)[0].score == pytest.approx(float(rows[0, 14]), abs=1e-4)


@settings(max_examples=25)
@given(st.integers(1, 200), st.integers(1, 200), st.integers(0, 2**31))
def test_no_picture_makes_it_raise(finder: YuNetFinder, height: int, width: int, seed: int):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    for face in finder.find(image):
        assert np.isfinite(face.landmarks).all()
        assert 0 <= face.score <= 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (4000, 1), (31, 33)])
def test_pictures_of_odd_shape_have_no_face(finder: YuNetFinder, shape: tuple[int, int]):
    assert finder.find(np.full((*shape, 3), 99, np.uint8)) == []


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(ModelError, match="no such file") as caught:
        YuNetFinder(tmp_path / "yunet.onnx")
    assert "finder.model" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"this is no network", b"\x08\x08\x12\x04test"])
def test_a_file_that_is_no_network_is_refused_by_name(tmp_path: Path, content: bytes):
    path = tmp_path / "yunet.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="not a YuNet model") as caught:
        YuNetFinder(path)
    assert str(path) in str(caught.value)
    assert caught.value.hint


def test_a_network_that_is_not_yunet_is_refused(tmp_path: Path):
    """The smallest valid ONNX network: it hands its input through."""
    path = tmp_path / "identity.onnx"
    path.write_bytes(_identity_onnx())
    with pytest.raises(ModelError, match="not a YuNet model"):
        YuNetFinder(path)


def _identity_onnx() -> bytes:
    def field(number: int, payload: bytes) -> bytes:
        return bytes([number << 3 | 2, len(payload)]) + payload

    def tensor(name: bytes) -> bytes:
        dims = b"".join(field(1, bytes([1 << 3, size])) for size in (1, 3, 32, 32))
        return field(1, name) + field(2, field(1, bytes([1 << 3, 1]) + field(2, dims)))

    node = field(1, b"x") + field(2, b"y") + field(4, b"Identity")
    graph = field(1, node) + field(2, b"g") + field(11, tensor(b"x")) + field(12, tensor(b"y"))
    return bytes([1 << 3, 8]) + field(8, bytes([2 << 3, 13])) + field(7, graph)
