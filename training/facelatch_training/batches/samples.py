"""What the metric stage learns from: an endless stream of augmented crops that is a function of the seed alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facelatch_training.batches.augment import augment, augment_and_tell, unreadable
from facelatch_training.batches.teacher import Embeddings, graft, morph
from facelatch_training.data.crops import CROP_SIZE, CropArray, Crops
from facelatch_training.recipe import Recipe

Batch = tuple[CropArray, npt.NDArray[np.int32], Embeddings]
"""Crops (B, 112, 112, 3), labels (B, 1), and teacher embeddings (B, D), zeros for none."""


@dataclass(frozen=True)
class MetricData:
    """What the metric stage learns from: crops (N, 112, 112, 3), labels (N,) from 0, teacher embeddings (N,
    D) or None, and morphs (M, 112, 112, 3), which have a teacher embedding and no name."""

    crops: Crops
    labels: npt.NDArray[np.int64]
    teacher: Embeddings | None
    morphs: Crops
    morph_teacher: Embeddings | None
    nobody: Embeddings | None = None
    """What is asked of crops that nobody can be read from (D,); None: there are none such."""
    shards: npt.NDArray[np.int64] | None = None
    """Shard number of each crop (N,) when crops are to be visited shard by shard; else None."""

    def centres(self) -> Embeddings | None:
        """The teacher's mean embedding per identity (C, D), unit length."""
        if self.teacher is None:
            return None
        sums = np.zeros((int(self.labels.max()) + 1, self.teacher.shape[1]), np.float32)
        np.add.at(sums, self.labels, self.teacher)
        return np.asarray(sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12), np.float32)


@dataclass(frozen=True)
class Sample:
    """One augmented crop (112, 112, 3), whose it is (-1: nobody's), and what the teacher says of it (D,), None where
    there is no teacher or it is to be asked live.
    """

    crop: CropArray
    label: int
    teacher: Embeddings | None


class Samples:
    """Sample p of the stream is drawn from pass p // N over the shuffled crops; a share of the samples is replaced
    by morphs, with a live teacher by new faces made of two people. Because nothing depends on how far a process
    got, a resumed run sees exactly what an uninterrupted sees.
    """

    def __init__(self, data: MetricData, recipe: Recipe) -> None:
        self._data, self._recipe = data, recipe
        self._live = recipe.metric.live_teacher and data.teacher is not None
        # New faces are of two crops from anywhere, which are not at hand when shards are read one by one.
        self._new_faces = self._live and data.shards is None
        self._mild = recipe.augment.model_copy(update={"mild": 1.0, "grey": 0.0, "covered": 0.0})
        self._orders: dict[int, npt.NDArray[np.int64]] = {}

    def make(self, number: int) -> Batch:
        """Batch `number` of the stream."""
        images = np.empty((self._recipe.metric.batch, CROP_SIZE, CROP_SIZE, 3), np.uint8)
        return images, *self.fill(images, number)

    def fill(self, images: CropArray, number: int) -> tuple[npt.NDArray[np.int32], Embeddings]:
        """Batch `number` of the stream, its crops written into `images` (B, 112, 112, 3); returns labels (B, 1) and
        teacher embeddings (B, D).
        """
        size, rng = len(images), np.random.default_rng([self._recipe.seed, number])
        labels = np.full((size, 1), -1, np.int32)
        teacher = np.zeros((size, self._recipe.tower.core), np.float32)
        for slot in range(size):
            sample = self.sample(number * size + slot, rng)
            images[slot], labels[slot, 0] = sample.crop, sample.label
            if sample.teacher is not None:
                teacher[slot] = sample.teacher
        return labels, teacher

    def sample(self, position: int, rng: np.random.Generator) -> Sample:
        """A sample for place `position` of the stream."""
        data, recipe = self._data, self._recipe
        if data.nobody is not None and rng.random() < recipe.augment.nobody:
            row = int(rng.integers(0, len(data.crops)))
            return Sample(augment(unreadable(data.crops[row], rng), rng, self._mild), -1, data.nobody)
        if (self._new_faces or len(data.morphs)) and rng.random() < recipe.metric.morph_share:
            if self._new_faces:
                return Sample(augment(self._new_face(rng), rng, self._mild), -1, None)
            row = int(rng.integers(len(data.morphs)))
            label, crop, teacher = -1, data.morphs[row], data.morph_teacher
        else:
            turn, place = divmod(position, len(data.crops))
            row = int(self.order(turn)[place])
            label, crop, teacher = int(data.labels[row]), data.crops[row], data.teacher
        crop, spoilt = augment_and_tell(crop, rng, recipe.augment)
        # The teacher embeds a spoilt picture badly, so there its embedding of the clean crop is the target.
        if teacher is None or (self._live and not spoilt):
            return Sample(crop, label, None)
        return Sample(crop, label, teacher[row])

    def _new_face(self, rng: np.random.Generator) -> CropArray:
        """A face that no one has, of two of the crops."""
        join = (morph, graft)[int(rng.integers(2))]
        first, second = (int(row) for row in rng.integers(0, len(self._data.crops), 2))
        return join(self._data.crops, first, second, rng)

    def order(self, turn: int) -> npt.NDArray[np.int64]:
        """The rows (N,) in the order in which pass `turn` visits them."""
        order = self._orders.get(turn)
        if order is None:
            rng = np.random.default_rng([self._recipe.seed, 0x6F72646572, turn])
            order = rng.permutation(len(self._data.crops))
            shards = self._data.shards
            if shards is not None:
                place = rng.permutation(int(shards.max()) + 1)
                order = order[np.argsort(place[shards[order]], kind="stable")]
            # Two, as a batch may lie across two passes and threads are not at the same place.
            self._orders = dict([*self._orders.items()][-1:]) | {turn: order}
        return order
