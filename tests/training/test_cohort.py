"""The cohort on drawn people: who is made of whom, what is written, and what covers cover."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from training_doubles import PatternVerifier

from facelatch.adapters.models.verifier_tflite import TfliteVerifier
from facelatch.vision.align import TEMPLATE
from facelatch.vision.cohort import KINDS, load_cohort
from facelatch.vision.manifest import load_manifest
from facelatch_training.cli.root import commands
from facelatch_training.data.covers import COVERS, IN_CROP, covered, turned_crop
from facelatch_training.data.made_faces import draw_person, write_crop_set
from facelatch_training.files import TrainingError
from facelatch_training.judge import cohort
from facelatch_training.report.cohort_card import cohort_lines


class NoFinder:
    """Never finds a face in what lies on its side."""

    def find(self, image: Any) -> tuple[()]:
        del image
        return ()


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    return np.stack([draw_person(person, 0) for person in range(12)])


def test_a_cohort_has_every_kind_of_each_person_and_is_the_same_again(faces: np.ndarray) -> None:
    """Seeded; points have unit length, and the limit leaves nearly all training faces familiar."""
    made = cohort.make(PatternVerifier(), faces, NoFinder(), people=6, seed=1)
    again = cohort.make(PatternVerifier(), faces, NoFinder(), people=6, seed=1)
    assert made.vectors.shape == (6 * len(KINDS), 192)
    assert np.bincount(made.kinds).tolist() == [6] * len(KINDS)
    np.testing.assert_array_equal(made.vectors, again.vectors)
    assert np.linalg.norm(made.points, axis=1) == pytest.approx(1, abs=1e-5)
    assert 0 < made.unfamiliar_from <= 1


def test_nobody_made_is_like_one_of_those_they_are_made_of(faces: np.ndarray) -> None:
    """Else the cohort would hold somebody's face."""
    verifier = PatternVerifier()
    bare = np.stack([verifier.embed(face) for face in faces])
    new = cohort.new_people(verifier, faces, bare, 8, np.random.default_rng(0))
    for face in new:
        assert not any(np.array_equal(face, one) for one in faces)


def test_a_model_to_which_all_are_alike_gets_no_cohort(faces: np.ndarray) -> None:
    """Said with what to do, after a bounded number of tries."""

    class Blind(PatternVerifier):
        def compare(self, probe: np.ndarray, gallery: np.ndarray) -> np.ndarray:
            del probe
            return np.ones(len(gallery), np.float32)

    bare = np.stack([Blind().embed(face) for face in faces])
    with pytest.raises(TrainingError, match="only 0 of 3 new faces"):
        cohort.new_people(Blind(), faces, bare, 3, np.random.default_rng(0))


def test_rounding_to_int8_keeps_the_vectors_within_half_a_step() -> None:
    """Also zeros, and numbers of any size."""
    sizes = np.array([[0], [1e-6], [1], [50], [1e6]])
    vectors = (np.random.default_rng(0).normal(size=(5, 40)) * sizes).astype(np.float32)
    stored, scales = cohort.rounded(vectors)
    assert stored.dtype == np.int8
    assert (np.abs(stored * scales[:, None] - vectors) <= scales[:, None] * 0.501).all()


def test_the_command_writes_a_cohort_that_the_door_loads(
    tiny_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File, hash, limits and figures; an untrained model takes all for alike, so that is not asked here."""
    monkeypatch.setattr(cohort, "PEOPLE", 3)
    monkeypatch.setattr(cohort, "LIKE_A_SOURCE", 2.0)
    model = tiny_model()
    model.with_suffix(".cohort").unlink()
    data = write_crop_set(tmp_path / "crops")
    done = CliRunner().invoke(commands, ["cohort", str(model), "--data", str(data)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    manifest = load_manifest(model)
    loaded = load_cohort(model, manifest)
    assert manifest.cohort is not None
    assert set(manifest.cohort.figures) >= {"probes_unfamiliar", "sets_refused_bare_8", "sets_refused_mask_1"}
    assert loaded.vectors.shape == (3 * len(KINDS), TfliteVerifier(model).embedding_size)
    assert any("| sunglasses and mask |" in line for line in cohort_lines(manifest.cohort))
    assert "None" in cohort_lines(None)[2]


@pytest.mark.parametrize("kind", COVERS)
def test_covers_cover_what_they_should_and_leave_the_picture_as_it_was(kind: str) -> None:
    """Eyes under sunglasses, mouth under a mask or a scarf, forehead under a cap; in a crop and in a picture twice as
    large.
    """
    crop = draw_person(1, 0)
    rng = np.random.default_rng(0)
    large = cv2.resize(crop, (224, 224), interpolation=cv2.INTER_CUBIC)
    for image, scale in ((crop, 1.0), (large, 2.0)):
        before = image.copy()
        drawn = covered(image, kind, IN_CROP * scale, rng)
        np.testing.assert_array_equal(image, before)
        changed = np.abs(drawn.astype(int) - image).max(axis=2) > 0
        eye, mouth = (TEMPLATE[0] * scale).astype(int), (TEMPLATE[3] * scale).astype(int)
        assert changed[eye[1], eye[0]] == ("sunglasses" in COVERS[kind])
        assert changed[mouth[1] + 4, mouth[0]] == bool({"mask", "scarf"} & set(COVERS[kind]))
        assert changed[: int(30 * scale)].any() == ("cap" in COVERS[kind]), "else the forehead stays bare"


def test_a_turned_crop_has_the_size_of_a_crop_and_another_content() -> None:
    """Seeded like everything else."""
    crop = draw_person(2, 0)
    one, other = (turned_crop(crop, np.random.default_rng(3)) for _ in range(2))
    assert one.shape == crop.shape
    assert not np.array_equal(one, crop)
    np.testing.assert_array_equal(one, other)
