"""A crop set ready for training, and the teacher's answers to it, each made once and kept in the cache."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facelatch.errors import InputError
from facelatch_training.batches.samples import MetricData
from facelatch_training.batches.teacher import (
    Embeddings,
    Teacher,
    make_morphs,
)
from facelatch_training.data.crops import CROP_SIZE, Crops, MappedCrops, RowsOf, ShardedCrops, load_crops
from facelatch_training.data.dataset import CropIndex, fingerprint, read_index
from facelatch_training.files import file_sha256, keep_out_of_git, replacing
from facelatch_training.fitting.validation import Yardstick, make_yardstick
from facelatch_training.recipe import Recipe


@dataclass(frozen=True)
class Material:
    """A crop set ready for training: its table, its crops, its fingerprint and the rows of both splits."""

    index: CropIndex
    crops: Crops
    mark: str
    train: npt.NDArray[np.int64]
    validation: npt.NDArray[np.int64]


def load_material(data: Path, cache: Path, *, stream: bool = False) -> Material:
    """Read a crop set, its decoded crops kept in `cache`. Raises InputError if it is faulty, if one side of the
    split has nobody to compare, or if the cache would lie in a git checkout.
    """
    keep_out_of_git(cache)
    index = read_index(data)
    mark = fingerprint(index)
    crops: Crops = ShardedCrops(index) if stream else load_crops(index, cache, mark)
    material = Material(index, crops, mark, index.rows("train"), index.rows("validation"))
    for split, rows in (("train", material.train), ("validation", material.validation)):
        labels, names = index.labels(rows) if len(rows) else (rows, [])
        if len(names) < 2 or np.bincount(labels).max() < 2:
            raise InputError(
                f"{data / 'faces.csv'}: the {split} split needs two people, one of them with two images",
                hint="collect more people or more images each, then run `facelatch-train prepare` again",
            )
    return material


def make_material_yardstick(material: Material, taught: Embeddings | None = None) -> Yardstick:
    """The validation people as a yardstick; `taught` (of all crops) tells which strangers are alike."""
    rows = material.validation
    crops = np.stack([material.crops[int(row)] for row in rows])
    labels, _ = material.index.labels(rows)
    hard = None if taught is None else taught[rows]
    return make_yardstick(crops, labels, material.index.families(rows), hard)


def teach(material: Material, cache: Path, weights: Path) -> Embeddings:
    """The teacher's embedding of every crop, from the cache or made now."""
    path = cache / f"mirrored-teacher-{material.mark[:16]}-{_short(weights)}.npy"
    if not path.is_file():
        _save(path, Teacher(weights.parent).teach_all(material.crops))
    return np.asarray(np.load(path), np.float32)


def _short(weights: Path) -> str:
    """What the answers of a teacher with these weights are kept under."""
    return file_sha256(weights)[:8]


def metric_data(
    material: Material, recipe: Recipe, taught: Embeddings | None, cache: Path, weights: Path | None
) -> MetricData:
    """What the metric stage trains on; morphs are made and kept in `cache` when the recipe asks for them."""
    crops = RowsOf(material.crops, material.train)
    labels, _ = material.index.labels(material.train)
    morphs: Crops = np.zeros((0, CROP_SIZE, CROP_SIZE, 3), np.uint8)
    morph_teacher = None
    kept = recipe.metric.morphs and not recipe.stream and not recipe.metric.live_teacher
    if weights is not None and kept:
        name = f"{material.mark[:16]}-{recipe.metric.morph_seed}-{recipe.metric.morphs}"
        answers = cache / f"mirrored-morph-teacher-{name}-{_short(weights)}.npy"
        if not answers.is_file():
            made = make_morphs(crops, recipe.metric.morphs, recipe.metric.morph_seed)
            _save(cache / f"morphs-{name}.npy", made)
            _save(answers, Teacher(weights.parent).teach_all(made, "morphs"))
        morphs = MappedCrops(cache / f"morphs-{name}.npy")
        morph_teacher = np.load(answers)
    shards = None
    if recipe.stream:
        _, numbers = np.unique([material.index.shards[row] for row in material.train], return_inverse=True)
        shards = numbers.astype(np.int64)
    return MetricData(
        crops, labels, None if taught is None else taught[material.train], morphs, morph_teacher, shards
    )


def _save(path: Path, array: npt.NDArray[np.generic]) -> None:
    with replacing(path) as partial:
        np.save(partial, array)
