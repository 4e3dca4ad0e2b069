"""A crop set ready for training, and the teacher's answers to it, each made once and kept in the cache."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from facelatch.errors import InputError
from facelatch_training.batches.onnx_teacher import load_answers, nobody, reduced
from facelatch_training.batches.samples import MetricData
from facelatch_training.batches.teacher import (
    Embeddings,
    Teacher,
    make_morphs,
)
from facelatch_training.data.crops import CROP_SIZE, Crops, MappedCrops, RowsOf, ShardedCrops, load_crops
from facelatch_training.data.dataset import CropIndex, fingerprint, read_index
from facelatch_training.files import file_sha256, keep_out_of_git, save_array
from facelatch_training.fitting.validation import Yardstick, make_yardstick
from facelatch_training.model.tower import embed
from facelatch_training.recipe import Recipe

MORPHS = "morphs"
"""Of packed answers, the folder of those to morphs."""

_LIKE_CROPS = 2048
"""On which packed answers are turned towards what the student says to begin with."""


@dataclass(frozen=True)
class Material:
    """A crop set ready for training: its table, its N crops, its fingerprint and the rows of both splits."""

    index: CropIndex
    crops: Crops
    fingerprint: str
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
    material = Material(
        index=index,
        crops=crops,
        fingerprint=mark,
        train=index.rows("train"),
        validation=index.rows("validation"),
    )
    for split, rows in (("train", material.train), ("validation", material.validation)):
        labels, names = index.labels(rows) if len(rows) else (rows, [])
        if len(names) < 2 or np.bincount(labels).max() < 2:
            raise InputError(
                f"{data / 'faces.csv'}: the {split} split needs two people, one of them with two images",
                hint="collect more people or more images each, then run `facelatch-train prepare` again",
            )
    return material


def make_material_yardstick(material: Material, embeddings: Embeddings | None = None) -> Yardstick:
    """The validation people as a yardstick; `embeddings` (of all crops) tell which strangers are alike."""
    rows = material.validation
    crops = np.stack([material.crops[int(row)] for row in rows])
    labels, _ = material.index.labels(rows)
    own = None if embeddings is None else embeddings[rows]
    return make_yardstick(crops, labels, material.index.families(rows), own)


def embed_by_teacher(material: Material, cache: Path, weights: Path) -> Embeddings:
    """The teacher's embeddings of all crops (N, D), from the cache or made now; `weights` is its .bin file."""
    path = cache / f"mirrored-teacher-{material.fingerprint[:16]}-{_short(weights)}.npy"
    if not path.is_file():
        save_array(path, Teacher(weights.parent).teach_all(material.crops))
    return np.asarray(np.load(path), np.float32)


def _short(weights: Path) -> str:
    """The part of a cache file's name that tells teachers with other weights apart."""
    return file_sha256(weights)[:8]


@dataclass(frozen=True)
class Taught:
    """What a teacher says of all crops, and of morphs where it was asked about them."""

    crops: Embeddings
    """(N, D)."""
    morphs: Embeddings | None = None
    """(M, D); None: they were not asked about, or are when they are made."""


def packed_answers(material: Material, folder: Path, recipe: Recipe, start: keras.Model | None) -> Taught:
    """What `facelatch-train teach` packed in `folder`, in the recipe's dimensions, turned towards what `start` says
    where that has as many. Raises InputError when it was asked about other crops or morphs.
    """
    said, metric = load_answers(folder, material.fingerprint), recipe.metric
    count = len(said)
    if metric.morphs and metric.morph_share:
        mark = morphs_mark(material.fingerprint, metric.morphs, metric.morph_seed)
        said = np.concatenate([said, load_answers(folder / MORPHS, mark)])
    like = None
    if start is not None and start.output.shape[-1] == recipe.tower.core:
        like = embed(start, RowsOf(material.crops, np.arange(min(count, _LIKE_CROPS))))
    few = reduced(said, recipe.tower.core, like)
    return Taught(few[:count], few[count:] if len(few) > count else None)


def morphs_mark(fingerprint: str, morphs: int, seed: int) -> str:
    """What tells the morphs of a crop set from others."""
    return f"{fingerprint}-morphs-{seed}-{morphs}"


def metric_data(
    material: Material,
    recipe: Recipe,
    taught: Taught | None,
    cache: Path,
    weights: Path | None,
) -> MetricData:
    """What the metric stage trains on.

    `taught`: None without a teacher; `weights`: those of a teacher that can be asked about morphs, else None. Morphs
    are made, and kept in `cache`, when the recipe asks for them.
    """
    crops, train = RowsOf(material.crops, material.train), material.train
    labels, _ = material.index.labels(train)
    morphs: tuple[Crops, Embeddings | None] = (np.zeros((0, CROP_SIZE, CROP_SIZE, 3), np.uint8), None)
    can_have_morphs = weights is not None and not recipe.stream and not recipe.metric.live_teacher
    if weights is not None and can_have_morphs and recipe.metric.morphs:
        morphs = _morphs(material, crops, recipe, cache, weights)
    elif taught is not None and taught.morphs is not None:
        morphs = _made_morphs(material, crops, recipe, cache), taught.morphs
    return MetricData(
        crops=crops,
        labels=labels,
        teacher=None if taught is None else taught.crops[train],
        morphs=morphs[0],
        morph_teacher=morphs[1],
        nobody=nobody(taught.crops) if taught is not None and recipe.augment.nobody else None,
        shards=_shard_numbers(material.index, train) if recipe.stream else None,
    )


def _morphs(
    material: Material, crops: Crops, recipe: Recipe, cache: Path, weights: Path
) -> tuple[Crops, Embeddings]:
    """Faces between two people, and the teacher's embeddings of them: from the cache, or made now."""
    metric, made = recipe.metric, _made_morphs(material, crops, recipe, cache)
    name = f"{material.fingerprint[:16]}-{metric.morph_seed}-{metric.morphs}"
    answers = cache / f"mirrored-morph-teacher-{name}-{_short(weights)}.npy"
    if not answers.is_file():
        save_array(answers, Teacher(weights.parent).teach_all(made, "morphs"))
    return made, np.load(answers)


def _made_morphs(material: Material, crops: Crops, recipe: Recipe, cache: Path) -> MappedCrops:
    metric = recipe.metric
    pictures = cache / f"morphs-{material.fingerprint[:16]}-{metric.morph_seed}-{metric.morphs}.npy"
    if not pictures.is_file():
        save_array(pictures, make_morphs(crops, metric.morphs, metric.morph_seed))
    return MappedCrops(pictures)


def _shard_numbers(index: CropIndex, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Which shard each of `rows` is in, numbered by sorted name."""
    _, numbers = np.unique([index.shards[row] for row in rows], return_inverse=True)
    return np.asarray(numbers, np.int64)
