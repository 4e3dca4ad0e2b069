"""Answers of teachers in ONNX files: packed, resumed, reduced; and what samples the covered and nobody make."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facelatch.errors import InputError
from facelatch_training.batches import onnx_teacher
from facelatch_training.batches.augment import augment_and_tell, unreadable
from facelatch_training.batches.samples import MetricData, Samples
from facelatch_training.recipe import AugmentRecipe, Recipe, recipe_hash, tiny_recipe


class MeanTeacher:
    """Says of a crop where it is bright: 16 numbers. Counts how many it was asked about."""

    asked = 0

    def __init__(self, files: object) -> None:
        del files

    def teach(self, crops: np.ndarray) -> np.ndarray:
        MeanTeacher.asked += len(crops)
        tiles = crops[:, ::28, ::28, 0].reshape(len(crops), 16).astype(np.float32) + 1
        return np.asarray(tiles / np.linalg.norm(tiles, axis=1, keepdims=True), np.float32)


@pytest.fixture
def crops() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 112, 112, 3), dtype=np.uint8)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(onnx_teacher, "OnnxTeacher", MeanTeacher)
    monkeypatch.setattr(onnx_teacher, "_ROUND", 16)
    file = tmp_path / "teacher.onnx"
    file.write_bytes(b"weights")
    return file


def test_answers_are_packed_in_parts_and_read_back(
    crops: np.ndarray, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_teacher, "PART_BYTES", 1024 + 16 * 2 * 15)
    onnx_teacher.answer_all([weights], crops, "mark", tmp_path / "out")
    said = onnx_teacher.load_answers(tmp_path / "out", "mark")
    assert said == pytest.approx(MeanTeacher([]).teach(crops), abs=1e-3)
    assert len(list((tmp_path / "out").glob("answers-*.npy"))) == 3


def test_a_killed_asking_goes_on_where_it_was(crops: np.ndarray, weights: Path, tmp_path: Path) -> None:
    onnx_teacher.answer_all([weights], crops, "mark", tmp_path / "out")
    (tmp_path / "out" / "rounds" / "00000016.npy").unlink()
    MeanTeacher.asked = 0
    onnx_teacher.answer_all([weights], crops, "mark", tmp_path / "out")
    assert MeanTeacher.asked == 16


def test_answers_of_another_teacher_or_to_other_crops_are_refused(
    crops: np.ndarray, weights: Path, tmp_path: Path
) -> None:
    onnx_teacher.answer_all([weights], crops, "mark", tmp_path / "out")
    with pytest.raises(InputError, match="fingerprint"):
        onnx_teacher.load_answers(tmp_path / "out", "other")
    weights.write_bytes(b"other weights")
    with pytest.raises(InputError, match="other teachers"):
        onnx_teacher.answer_all([weights], crops, "mark", tmp_path / "out")
    with pytest.raises(InputError, match="teach"):
        onnx_teacher.load_answers(tmp_path, "mark")


def test_reduced_answers_keep_their_angles_and_lie_near_the_student() -> None:
    """Answers that vary in 8 dimensions only lose nothing in 8, whichever way a student has them turned."""
    rng = np.random.default_rng(0)
    few = rng.normal(size=(60, 8))
    few /= np.linalg.norm(few, axis=1, keepdims=True)
    wide = few @ np.linalg.qr(rng.normal(size=(32, 8)))[0].T
    turned = np.asarray(few @ np.linalg.qr(rng.normal(size=(8, 8)))[0], np.float32)
    said = onnx_teacher.reduced(wide.astype(np.float16), 8, turned[:30])
    assert said @ said.T == pytest.approx(few @ few.T, abs=5e-3)
    assert said == pytest.approx(turned, abs=5e-3)
    with pytest.raises(InputError, match="8 dimensions"):
        onnx_teacher.reduced(wide[:5].astype(np.float16), 8)


def test_nobody_belongs_where_no_answer_lies() -> None:
    answers = np.random.default_rng(0).normal(size=(200, 6)) * (3, 2, 2, 2, 2, 0.05)
    answers = (answers / np.linalg.norm(answers, axis=1, keepdims=True)).astype(np.float32)
    place = onnx_teacher.nobody(answers)
    assert np.linalg.norm(place) == pytest.approx(1, abs=1e-5)
    assert np.abs(answers @ place).max() < 0.2


def test_covered_samples_are_spoilt_and_old_recipes_draw_what_they_drew(crops: np.ndarray) -> None:
    plain, always = AugmentRecipe(mild=1.0, grey=0.0), AugmentRecipe(mild=1.0, grey=0.0, covered=1.0)
    assert not augment_and_tell(crops[0], np.random.default_rng(1), plain)[1]
    assert augment_and_tell(crops[0], np.random.default_rng(1), always)[1]
    assert recipe_hash(Recipe()) == recipe_hash(Recipe(augment=AugmentRecipe(covered=0.0)))
    assert recipe_hash(Recipe()) != recipe_hash(Recipe(augment=AugmentRecipe(covered=0.1)))


def test_unreadable_crops_are_of_many_kinds_and_the_same_for_a_seed(crops: np.ndarray) -> None:
    made = [unreadable(crops[0], np.random.default_rng(seed)) for seed in range(30)]
    assert all(crop.shape == (112, 112, 3) and crop.dtype == np.uint8 for crop in made)
    assert len({crop.tobytes() for crop in made}) == 30
    np.testing.assert_array_equal(made[3], unreadable(crops[0], np.random.default_rng(3)))


def test_a_share_of_the_samples_is_nobody(crops: np.ndarray) -> None:
    recipe = tiny_recipe()
    recipe = recipe.model_copy(update={"augment": recipe.augment.model_copy(update={"nobody": 0.3})})
    place = np.eye(recipe.tower.core, dtype=np.float32)[0]
    answers = np.tile(np.eye(recipe.tower.core, dtype=np.float32)[1], (len(crops), 1))
    data = MetricData(
        crops=crops,
        labels=np.arange(len(crops)),
        teacher=answers,
        morphs=crops[:0],
        morph_teacher=None,
        nobody=place,
    )
    samples, rng = Samples(data, recipe), np.random.default_rng(0)
    made = [samples.sample(position, rng) for position in range(200)]
    nobodies = [sample for sample in made if sample.label < 0]
    assert 30 < len(nobodies) < 90
    assert all(sample.teacher is place for sample in nobodies)
