"""The shipped face finder through its adapter: any picture, honest refusals, the same answer everywhere."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from facelatch.adapters.models.finder_tflite import TfliteFinder
from facelatch.errors import ModelError
from facelatch.values.pictures import Box
from facelatch.vision.finder_manifest import load_finder_manifest
from facelatch.vision.letterbox import letterbox

REPO = Path(__file__).resolve().parents[2]
MODEL = REPO / "models" / "finder.tflite"
CLIPS = REPO.parent / "shared" / "data" / "clips.tar"


@pytest.fixture(scope="module")
def finder() -> TfliteFinder:
    return TfliteFinder(MODEL, 0.6)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for suffix in (".tflite", ".json"):
        shutil.copy(MODEL.with_suffix(suffix), tmp_path / f"finder{suffix}")
    return tmp_path / "finder.tflite"


def portrait() -> np.ndarray:
    """One head-and-shoulders frame of the shared clips, RGB."""
    if not CLIPS.is_file():
        pytest.skip(f"{CLIPS} is absent: no face to look at")
    with tarfile.open(CLIPS) as archive:
        member = next(m for m in archive if m.isfile())
        data = archive.extractfile(member)
        assert data is not None
        image = cv2.imdecode(np.frombuffer(data.read(), np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


def test_a_face_is_found_with_its_landmarks_in_place(finder):
    image = portrait()
    faces = finder.find(image)
    assert faces[0].score > 0.8
    left, right, nose, mouth_left, mouth_right = faces[0].landmarks
    assert left[0] < nose[0] < right[0]
    assert mouth_left[0] < mouth_right[0]
    assert max(left[1], right[1]) < nose[1] < min(mouth_left[1], mouth_right[1])


def test_the_face_is_where_it_was_put_at_any_frame_size(finder):
    image = portrait()
    found = finder.find(image)[0].landmarks
    for scale, x, y in ((1.0, 300, 100), (2.0, 40, 20), (3.0, 500, 300)):
        big = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        frame = np.full((y + big.shape[0] + 50, x + big.shape[1] + 200, 3), 128, np.uint8)
        frame[y : y + big.shape[0], x : x + big.shape[1]] = big
        there = finder.find(frame)  # the best find; on a stage, a microphone may be the second best
        expected = found * scale + [x, y]
        eyes = np.hypot(*(expected[0] - expected[1]))
        assert np.hypot(*(there[0].landmarks - expected).T).mean() / eyes < 0.15


def test_searching_near_a_face_finds_the_same_face(finder):
    image = portrait()
    whole = finder.find(image)[0]
    box = whole.box
    region = Box(box.x - box.width, box.y - box.height * 0.6, box.width * 3, box.height * 2.2)
    near = finder.find_near(image, region)
    eyes = np.hypot(*(whole.landmarks[0] - whole.landmarks[1]))
    assert np.hypot(*(near[0].landmarks - whole.landmarks).T).mean() / eyes < 0.15


def test_a_plain_picture_holds_no_face(finder):
    for level in (0, 128, 255):
        assert len(finder.find(np.full((240, 320, 3), level, np.uint8))) == 0


def test_the_same_picture_gives_the_same_faces(finder):
    rng = np.random.default_rng(5)
    image = rng.integers(0, 256, (200, 300, 3)).astype(np.uint8)
    first, second = TfliteFinder(MODEL, 0.01).find(image), TfliteFinder(MODEL, 0.01).find(image)
    assert [face.score for face in first] == [face.score for face in second]


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 700), st.integers(1, 700), st.integers(0, 2**32 - 1))
def test_no_picture_raises_and_every_number_is_finite(width, height, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    _check_finite(talkative().find(image))
    _check_finite(talkative().find_near(image, Box(width / 3, height / 3, width / 2, height / 2)))


@pytest.mark.parametrize("shape", [(1, 1), (1, 20000), (20000, 1), (3000, 4000), (2, 2), (1, 640), (480, 1)])
def test_extreme_sizes_are_searched_like_any_other(shape):
    _check_finite(talkative().find(np.random.default_rng(1).integers(0, 256, (*shape, 3)).astype(np.uint8)))


def test_a_picture_cut_out_of_another_is_taken_though_not_contiguous(finder):
    image = np.random.default_rng(1).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    _check_finite(finder.find(image[::2, ::-1]))


@pytest.mark.parametrize("shape", [(240, 320), (240, 320, 4), (240, 320, 1), (0, 320, 3), (240, 0, 3)])
def test_what_is_no_rgb_picture_holds_no_face(finder, shape):
    assert len(finder.find(np.zeros(shape, np.uint8))) == 0


@settings(max_examples=100, deadline=None)
@example(1, 1, 8.98846567431158e307, 0.0, 8.98846567431158e307, 0.0)
@given(st.integers(1, 300), st.integers(1, 300), *[st.floats(allow_nan=True, allow_infinity=True)] * 4)
def test_a_letterbox_fits_whatever_the_region(width, height, x, y, w, h):
    boxed = letterbox(np.zeros((height, width, 3), np.uint8), (160, 120), Box(x, y, w, h))
    assert boxed.image.shape == (120, 160, 3)
    assert np.isfinite([*boxed.scale, *boxed.offset]).all()
    assert min(boxed.scale) > 0


def test_a_letterbox_maps_pixel_centres_to_pixel_centres():
    image = np.zeros((480, 640, 3), np.uint8)
    image[200:210, 400:410] = 255
    boxed = letterbox(image, (160, 120), Box(320, 120, 320, 240))
    rows, columns = np.nonzero(boxed.image[..., 0] > 127)
    assert columns.mean() * boxed.scale[0] + boxed.offset[0] == pytest.approx(404.5, abs=0.01)
    assert rows.mean() * boxed.scale[1] + boxed.offset[1] == pytest.approx(204.5, abs=0.01)


def test_a_missing_model_is_refused_by_name(tmp_path):
    with pytest.raises(ModelError, match=r"finder\.tflite: no such file"):
        TfliteFinder(tmp_path / "finder.tflite", 0.5)


def test_a_missing_manifest_is_refused_by_name(copy):
    copy.with_suffix(".json").unlink()
    with pytest.raises(ModelError, match=r"finder\.json: no such file"):
        TfliteFinder(copy, 0.5)


def test_a_changed_model_is_refused(copy):
    copy.write_bytes(copy.read_bytes()[:-1] + b"?")
    with pytest.raises(ModelError, match="sha256") as caught:
        TfliteFinder(copy, 0.5)
    assert caught.value.hint


def test_a_manifest_of_another_kind_is_refused_with_the_key(copy):
    path = copy.with_suffix(".json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "kind": "siamese"}))
    with pytest.raises(ModelError, match="kind"):
        TfliteFinder(copy, 0.5)


def test_a_manifest_that_is_no_json_is_refused(copy):
    copy.with_suffix(".json").write_bytes(b"\x00\xff")
    with pytest.raises(ModelError, match="not a face finder's manifest"):
        TfliteFinder(copy, 0.5)


def test_a_model_without_an_input_size_is_refused(copy):
    path = copy.with_suffix(".json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "signatures": ["find_320x240"]}))
    with pytest.raises(ModelError, match="find_160x120"):
        TfliteFinder(copy, 0.5)


def test_a_file_that_is_no_model_is_refused_though_its_hash_fits(copy):
    import hashlib

    copy.write_bytes(b"not a model")
    path = copy.with_suffix(".json")
    digest = hashlib.sha256(b"not a model").hexdigest()
    path.write_text(json.dumps({**json.loads(path.read_text()), "model_sha256": digest}))
    with pytest.raises(ModelError, match="cannot be loaded"):
        TfliteFinder(copy, 0.5)


def test_the_shipped_model_is_small_and_says_what_it_was_measured_to_do():
    assert MODEL.stat().st_size < 250_000
    manifest = load_finder_manifest(MODEL)
    assert manifest.figures["scenes"]["facelatch"]["images"] > 500


@pytest.mark.parametrize("runtime", ["ai_edge_litert.interpreter", "tflite_runtime.interpreter"])
def test_both_runtimes_give_the_same_answer(runtime):
    module = pytest.importorskip(runtime)
    image = np.random.default_rng(2).integers(0, 256, (1, 120, 160, 3)).astype(np.uint8)
    raw = module.Interpreter(str(MODEL)).get_signature_runner("find_160x120")(image=image)
    reference = talkative()._runners[(160, 120)](image=image)
    steps = {"score": 0.35, "box": 0.15, "landmarks": 0.25}
    assert set(raw) == set(steps)
    for name, values in raw.items():
        # The kernels round differently: a few steps of the outputs' int8 scales.
        np.testing.assert_allclose(values, reference[name], atol=steps[name])


def talkative() -> TfliteFinder:
    """A finder that reports nearly anything, built once."""
    if not _cache:
        _cache.append(TfliteFinder(MODEL, 0.01))
    return _cache[0]


_cache: list[TfliteFinder] = []


def _check_finite(faces) -> None:
    for face in faces:
        numbers = [face.box.x, face.box.y, face.box.width, face.box.height, face.score]
        assert np.isfinite(numbers).all()
        assert np.isfinite(face.landmarks).all()
        assert face.landmarks.shape == (5, 2)
