"""The cohort beside a model: what is accepted as one, what is familiar, and which references distinguish."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facelatch.adapters.fakes import FakeVerifier
from facelatch.adapters.models.verifier_tflite import TfliteVerifier
from facelatch.config.shipped import shipped_file
from facelatch.errors import ModelError
from facelatch.line.distinct import distinct_test
from facelatch.values.observations import Thresholds
from facelatch.vision.cohort import KINDS, NO_COHORT, Cohort, is_familiar, let_in, load_cohort, unfamiliarity
from facelatch.vision.manifest import load_manifest

LIMITS = Thresholds(detection=0.5, verification=0.6, ambiguity_margin=0.2)
POINT = np.array([[0.0, 0.0, 1.0]], np.float32)


def colours(*rows: tuple[float, float, float]) -> np.ndarray:
    return np.array(rows, np.float32)


RED, GREEN, OTHER = (0.9, 0.1, 0.1), (0.1, 0.9, 0.1), (0.5, 0.5, 0.2)
COHORT = Cohort(
    vectors=colours(RED, GREEN, RED, GREEN, *[OTHER] * 6),
    kinds=np.array([0, 0, 2, 0, *[1] * 6], np.uint8),
    points=POINT,
    unfamiliar_from=0.9,
    most_let_in=0.5,
)


def problem(cohort: Cohort, references: np.ndarray) -> str | None:
    return distinct_test(FakeVerifier(), cohort, LIMITS)(references)


# The file


def test_the_shipped_cohort_fits_the_shipped_model() -> None:
    """Several hundred people, every kind of them, and of the size the model makes."""
    model = shipped_file("models", "siamese.tflite")
    manifest = load_manifest(model)
    cohort = load_cohort(model, manifest)
    assert manifest.cohort is not None
    assert manifest.cohort.people >= 200
    assert np.bincount(cohort.kinds).tolist() == [manifest.cohort.people] * len(KINDS)
    assert cohort.vectors.shape[1] == cohort.points.shape[1] == manifest.embedding_size
    assert np.linalg.norm(cohort.points, axis=1) == pytest.approx(1, abs=1e-4)


def _content(**changes: Any) -> bytes:
    arrays = {
        "vectors": np.ones((2, 16), np.int8),
        "scales": np.ones(2, np.float32),
        "kinds": np.zeros(2, np.uint8),
        "points": np.eye(1, 16, dtype=np.float32),
    }
    stream = io.BytesIO()
    np.savez(stream, **{name: value for name, value in (arrays | changes).items() if value is not None})
    return stream.getvalue()


def _replaced(model: Path, content: bytes) -> None:
    """Puts another cohort there, with a hash that fits."""
    model.with_suffix(".cohort").write_bytes(content)
    path = model.with_suffix(".json")
    manifest = json.loads(path.read_text())
    manifest["cohort"]["sha256"] = hashlib.sha256(content).hexdigest()
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 not whole",
        b"some text",
        _content()[:200],
        _content(points=None),
        _content(vectors=np.ones((2, 15), np.int8)),
        _content(points=np.ones((1, 15), np.float32)),
        _content(vectors=np.ones((0, 16), np.int8), scales=np.ones(0, np.float32), kinds=np.ones(0, np.uint8)),
        _content(points=np.ones((0, 16), np.float32)),
        _content(points=np.full((1, 16), np.nan, np.float32)),
        _content(scales=np.full(2, np.inf, np.float32)),
        _content(scales=np.ones(3, np.float32)),
        _content(kinds=np.full(2, 9, np.uint8)),
        _content(kinds=np.zeros(3, np.uint8)),
        _content(kinds=np.array([{}, {}], dtype=object)),
    ],
)
def test_what_is_no_cohort_is_refused_with_exit_code_4(tiny_model: Callable[..., Path], content: bytes) -> None:
    """Cut short, text, of another model's size, empty, not finite, pickled."""
    model = tiny_model()
    _replaced(model, content)
    with pytest.raises(ModelError, match=r"siamese\.cohort: not a cohort") as caught:
        load_cohort(model, load_manifest(model))
    assert caught.value.exit_code == 4
    assert "facelatch-train cohort" in caught.value.hint


def test_a_cohort_that_is_missing_foreign_or_was_never_made_is_refused(tiny_model: Callable[..., Path]) -> None:
    """Each with its own words."""
    model = tiny_model()
    manifest = load_manifest(model)
    load_cohort(model, manifest)
    with pytest.raises(ModelError, match="made without a cohort"):
        load_cohort(model, manifest.model_copy(update={"cohort": None}))
    model.with_suffix(".cohort").write_bytes(_content())
    with pytest.raises(ModelError, match="sha256 is"):
        load_cohort(model, manifest)
    model.with_suffix(".cohort").unlink()
    with pytest.raises(ModelError, match="no such file"):
        load_cohort(model, manifest)


# Familiar or not


@given(st.lists(st.floats(-5, 5, width=32), min_size=3, max_size=3))
def test_unfamiliarity_is_a_cosine_whatever_the_length(values: list[float]) -> None:
    """-1 to 1; nothing at all is near no point."""
    vector = np.array(values, np.float32)
    assert -1.001 <= unfamiliarity(vector, COHORT) <= 1.001


def test_near_a_point_an_embedding_is_unfamiliar_and_without_points_never() -> None:
    """From the limit on, at any length."""
    for length in (0.1, 1.0, 30.0):
        assert not is_familiar(POINT[0] * length, COHORT)
        assert is_familiar(np.array([length, 0, 0], np.float32), COHORT)
        assert is_familiar(POINT[0] * length, NO_COHORT)


# References that distinguish


def test_the_kind_of_whom_most_are_let_in_is_told() -> None:
    """Of three bare people two are green; of one masked, one is red."""
    verifier, limits = FakeVerifier(), LIMITS
    green = let_in(colours(GREEN), verifier, COHORT, limits)
    assert (green.share, green.kind) == (pytest.approx(2 / 3), "bare")
    red = let_in(colours(RED), verifier, COHORT, limits)
    assert (red.share, red.kind) == (1.0, "mask")


def test_as_many_references_have_to_detect_somebody_as_at_the_door() -> None:
    """Two of five are not enough at six tenths, three are."""
    verifier, limits = FakeVerifier(), LIMITS
    far = (0.3, 0.3, 0.9)
    assert let_in(colours(GREEN, GREEN, far, far, far), verifier, COHORT, limits).share == 0
    assert let_in(colours(GREEN, GREEN, GREEN, far, far), verifier, COHORT, limits).share > 0


def test_references_that_let_in_too_many_are_refused_and_it_is_said_what_to_take_off() -> None:
    """A mask is named as a mask."""
    said = problem(COHORT, colours(RED, RED))
    assert said is not None
    assert "take off mask or scarf" in said
    assert "shown mask, they would let in 100.0%, and at most 50.0%" in said
    assert problem(replace(COHORT, most_let_in=1.0), colours(RED, RED)) is None
    assert problem(COHORT, colours((0.7, 0.6, 0.1))) is None
    assert problem(NO_COHORT, colours(RED)) is None


def test_as_many_unreadable_references_as_let_somebody_in_are_too_many() -> None:
    """Three of five at a verification threshold of six tenths."""
    empty, good = (0.01, 0.01, 0.9), (0.7, 0.6, 0.1)
    assert problem(COHORT, colours(empty, empty, good, good, good)) is None
    said = problem(COHORT, colours(empty, empty, empty, good, good))
    assert said is not None
    assert said.startswith("60% of the images show no face")


def test_empty_and_turned_crops_are_refused_by_the_shipped_model() -> None:
    """Grey, black, noise; of nobody all."""
    model = shipped_file("models", "siamese.tflite")
    verifier = TfliteVerifier(model)
    cohort = load_cohort(model, verifier.manifest)
    noise = np.random.default_rng(1).integers(0, 256, (112, 112, 3)).astype(np.uint8)
    for crop in (np.full((112, 112, 3), 120, np.uint8), np.zeros((112, 112, 3), np.uint8), noise):
        assert not is_familiar(verifier.embed(crop), cohort)
