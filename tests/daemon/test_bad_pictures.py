"""The whole line, from a file to an observation, on the pictures people really give it. Real finder, real TFLite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from facelatch.adapters.models.finder_cascade import CascadeFinder
from facelatch.adapters.models.verifier_tflite import TfliteVerifier
from facelatch.config.line import QualityConfig
from facelatch.decoder.reader import PictureReader
from facelatch.line import stills
from facelatch.line.pipeline import Line
from facelatch.line.search import Pace
from facelatch.line.stills import Still
from facelatch.values.observations import Judged, Reason, Thresholds
from facelatch.values.pictures import Image
from facelatch.values.records import Gallery, Person

NOBODY = Gallery({}, (), np.zeros((0, 16), np.float32))


@pytest.fixture
def line(tiny_model: Callable[..., Path]) -> Line:
    return Line(
        finder=CascadeFinder(),
        verifier=TfliteVerifier(tiny_model()),
        quality=QualityConfig(),
        thresholds=Thresholds(detection=0.5, verification=0.5, ambiguity_margin=0.2),
        similar_size_ratio=0.6,
        pace=Pace(),
    )


@pytest.fixture(scope="module")
def portrait() -> Image:
    """A portrait in the public domain, 512x512."""
    return pytest.importorskip("skimage.data", reason="no scikit-image, no portrait").astronaut()


READER = PictureReader()


def observe_still(line: Line, path: Path, gallery: Gallery) -> Still:
    return stills.observe_still(line, READER, path, gallery)


def saved(tmp_path: Path, image: np.ndarray) -> Path:
    path = tmp_path / "picture.png"
    order = [2, 1, 0, 3][: image.shape[2]] if image.ndim == 3 else slice(None)
    assert cv2.imwrite(str(path), image[..., order] if image.ndim == 3 else image)
    return path


def twelve_megapixels(image: Image) -> Image:
    large = np.full((3000, 4000, 3), 90, np.uint8)
    large[200:2760, 700:3260] = cv2.resize(image, (2560, 2560), interpolation=cv2.INTER_LINEAR)
    return large


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image,
        lambda image: cv2.cvtColor(image, cv2.COLOR_RGB2GRAY),
        lambda image: np.dstack([image, np.full(image.shape[:2], 200, np.uint8)]),
        twelve_megapixels,
    ],
    ids=["as it is", "grey", "RGBA", "12 megapixels"],
)
def test_a_good_face_is_judged_however_the_picture_is_stored(line: Line, tmp_path: Path, portrait: Image, change):
    still = observe_still(line, saved(tmp_path, change(portrait)), NOBODY)
    assert isinstance(still.observation, Judged), still.problem
    assert still.observation.verdict.reason is Reason.NOBODY_ENROLLED


def test_the_picture_that_was_enrolled_is_recognised(line: Line, tmp_path: Path, portrait: Image):
    path = saved(tmp_path, portrait)
    first = observe_still(line, path, NOBODY).observation
    assert isinstance(first, Judged)
    gallery = Gallery({1: Person(1, "eileen")}, (1,), first.embedding[None])
    again = observe_still(line, path, gallery).observation
    assert isinstance(again, Judged)
    assert again.verdict.matched


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda face: np.full((240, 320, 3), 140, np.uint8), Reason.NO_FACE),
        (lambda face: np.full((1, 1, 3), 140, np.uint8), Reason.NO_FACE),
        (lambda face: np.full((1, 1), 0, np.uint8), Reason.NO_FACE),
        (lambda face: np.full((3000, 4000, 3), 200, np.uint8), Reason.NO_FACE),
        (lambda face: np.hstack([face[:256, 96:352]] * 2), Reason.SEVERAL_FACES),
        (lambda face: (face * 0.06).astype(np.uint8), Reason.TOO_DARK),
        (lambda face: cv2.GaussianBlur(face, (0, 0), 5), Reason.BLURRED),
        (lambda face: cv2.resize(face, None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA), Reason.TOO_SMALL),
    ],
    ids=["nobody", "1x1", "1x1 grey", "12 megapixels of nothing", "two faces", "dark", "blurred", "far away"],
)
def test_a_picture_that_will_not_do_gets_its_reason_and_a_hint(
    line: Line, tmp_path: Path, portrait: Image, make, reason: Reason
):
    still = observe_still(line, saved(tmp_path, make(portrait)), NOBODY)
    assert still.observation is not None
    assert still.problem == f"{reason}: {reason.hint}"


@pytest.mark.parametrize("content", [None, b"", b"not a picture"], ids=["missing", "empty", "corrupt"])
def test_a_file_that_is_no_picture_is_a_problem_of_its_own(line: Line, tmp_path: Path, content: bytes | None):
    path = tmp_path / "anna.jpg"
    if content is not None:
        path.write_bytes(content)
    still = observe_still(line, path, NOBODY)
    assert still.observation is None
    assert ": " in still.problem
    assert str(path) not in still.problem  # whoever tells it names the file
