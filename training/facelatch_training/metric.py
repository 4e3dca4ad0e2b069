"""The metric stage: a tower learns to place faces, from a teacher's embeddings and from names.

Everything here touches only `keras`, `keras.ops` and NumPy, so it runs on TensorFlow, JAX and PyTorch alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from facelatch_training.augment import augment
from facelatch_training.dataset import CROP_SIZE, CropArray, Crops
from facelatch_training.network import REGISTERED
from facelatch_training.recipe import MetricRecipe, Recipe
from facelatch_training.teacher import Embeddings


@dataclass(frozen=True)
class MetricData:
    """What the metric stage learns from: crops (N, 112, 112, 3), labels (N,) from 0, teacher embeddings (N,
    D) or None, and morphs (M, 112, 112, 3), which have a teacher embedding and no name."""

    crops: Crops
    labels: npt.NDArray[np.int64]
    teacher: Embeddings | None
    morphs: CropArray
    morph_teacher: Embeddings | None
    shards: npt.NDArray[np.int64] | None = None
    """Shard number of each crop (N,) when crops are to be visited shard by shard; else None."""

    def centres(self) -> Embeddings | None:
        """The teacher's mean embedding per identity (C, D), unit length."""
        if self.teacher is None:
            return None
        sums = np.zeros((int(self.labels.max()) + 1, self.teacher.shape[1]), np.float32)
        np.add.at(sums, self.labels, self.teacher)
        return np.asarray(sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12), np.float32)


class MetricBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches `first_step` to `first_step + steps` of an endless stream that is a function of the seed alone.

    Sample p of the stream is drawn from pass p // N over the shuffled crops; a share of the samples is
    replaced by morphs. Because nothing depends on how far a process got, a resumed run sees exactly what an
    uninterrupted sees.
    """

    def __init__(self, data: MetricData, recipe: Recipe, first_step: int, steps: int) -> None:
        super().__init__(workers=recipe.workers, max_queue_size=4)
        self._data, self._recipe, self._first, self._steps = data, recipe, first_step, steps
        self._orders: dict[int, npt.NDArray[np.int64]] = {}

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
        size = self._recipe.metric.batch
        start = (self._first + number) * size
        width = self._recipe.tower.core
        images = np.empty((size, CROP_SIZE, CROP_SIZE, 3), np.uint8)
        labels = np.full((size, 1), -1, np.int32)
        teacher = np.zeros((size, width), np.float32)
        for slot in range(size):
            labels[slot, 0], images[slot], target = self.sample(start + slot)
            if target is not None:
                teacher[slot] = target
        nothing = np.zeros((size, 1), np.float32)
        inputs = {"image": images, "label": labels, "teacher": teacher}
        return inputs, {"distill": nothing, "margin": nothing}

    def sample(self, position: int) -> tuple[int, CropArray, Embeddings | None]:
        """Sample `position` of the stream: (label or -1, augmented crop, teacher embedding of the clean
        crop).
        """
        data = self._data
        rng = np.random.default_rng([self._recipe.seed, position])
        if len(data.morphs) and rng.random() < self._recipe.metric.morph_share:
            row = int(rng.integers(len(data.morphs)))
            label, crop, teacher = -1, data.morphs[row], data.morph_teacher
        else:
            turn, place = divmod(position, len(data.crops))
            row = int(self._order(turn)[place])
            label, crop, teacher = int(data.labels[row]), data.crops[row], data.teacher
        target = None if teacher is None else teacher[row]
        return label, augment(crop, rng, self._recipe.augment), target

    def _order(self, turn: int) -> npt.NDArray[np.int64]:
        if turn not in self._orders:
            rng = np.random.default_rng([self._recipe.seed, 0x6F72646572, turn])
            order = rng.permutation(len(self._data.crops))
            shards = self._data.shards
            if shards is not None:
                place = rng.permutation(int(shards.max()) + 1)
                order = order[np.argsort(place[shards[order]], kind="stable")]
            self._orders[turn] = order
        return self._orders[turn]


@REGISTERED
class MarginSoftmax(layers.Layer):  # type: ignore[misc]
    """CosFace: cross-entropy over identities after `margin` is taken off the cosine to one's own centre."""

    def __init__(self, classes: int, margin: float, scale: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.classes, self.margin, self.scale = classes, margin, scale

    def build(self, embedding_shape: Any, label_shape: Any) -> None:
        """Create the centres (classes, D)."""
        del label_shape
        shape = (self.classes, embedding_shape[-1])
        self.centres = self.add_weight(shape=shape, initializer="glorot_normal", name="centres")

    def call(self, embedding: Any, label: Any) -> Any:
        """(B, D) unit embeddings, (B, 1) labels -> (B, 1) losses; a negative label means no name, hence no
        loss.
        """
        centres = ops.normalize(self.centres, axis=-1)
        cosines = ops.matmul(embedding, ops.transpose(centres))
        own = ops.one_hot(ops.maximum(label[:, 0], 0), self.classes)
        logits = self.scale * (cosines - self.margin * own)
        losses = ops.logsumexp(logits, axis=-1, keepdims=True) - ops.sum(own * logits, axis=-1, keepdims=True)
        return losses * ops.cast(label >= 0, losses.dtype)

    def compute_output_shape(self, embedding_shape: Any, label_shape: Any) -> Any:
        """(B, 1)."""
        del label_shape
        return (embedding_shape[0], 1)

    def get_config(self) -> dict[str, Any]:
        """What rebuilds this layer."""
        return {**super().get_config(), "classes": self.classes, "margin": self.margin, "scale": self.scale}


@REGISTERED
class CosineGap(layers.Layer):  # type: ignore[misc]
    """1 - cosine between the student's and the teacher's unit embeddings; 0 where there is no teacher."""

    def call(self, embedding: Any, teacher: Any) -> Any:
        """((B, D), (B, D)) -> (B, 1)."""
        known = ops.sum(ops.square(teacher), axis=-1, keepdims=True)
        return known - ops.sum(embedding * teacher, axis=-1, keepdims=True)

    def compute_output_shape(self, embedding_shape: Any, teacher_shape: Any) -> Any:
        """(B, 1)."""
        del teacher_shape
        return (embedding_shape[0], 1)


def build_metric_model(
    tower: keras.Model, recipe: MetricRecipe, classes: int, centres: Embeddings | None
) -> Any:
    """A model of image, label and teacher whose two outputs *are* the losses, compiled and ready to fit."""
    width = int(tower.output.shape[-1])
    image = keras.Input((CROP_SIZE, CROP_SIZE, 3), dtype="uint8", name="image")
    label = keras.Input((1,), dtype="int32", name="label")
    teacher = keras.Input((width,), name="teacher")
    embedding = tower(image)
    softmax = MarginSoftmax(classes, recipe.margin, recipe.scale, name="margin")
    outputs = {"distill": CosineGap(name="distill")(embedding, teacher), "margin": softmax(embedding, label)}
    model = keras.Model({"image": image, "label": label, "teacher": teacher}, outputs, name="metric")
    if centres is not None:
        softmax.centres.assign(centres)
    model.compile(
        optimizer=ConvMuon(
            learning_rate=recipe.rate,
            weight_decay=recipe.weight_decay,
            adam_weight_decay=0.0,
            adam_lr_ratio=recipe.adam_ratio,
            exclude_layers=["centres", "pool_conv"] if recipe.optimizer == "muon" else [".*"],
        ),
        loss={"distill": _as_is, "margin": _as_is},
        loss_weights={"distill": recipe.distill_weight, "margin": recipe.margin_weight},
        jit_compile="auto" if keras.backend.backend() == "jax" else False,  # XLA on a CPU: sixty times slower
    )
    return model


def _as_is(nothing: Any, loss: Any) -> Any:
    del nothing
    return loss[:, 0]  # per sample: a mean taken here would not be shared out over the workers of a cluster


@REGISTERED
class ConvMuon(keras.optimizers.Muon):  # type: ignore[misc]
    """Muon that also sees a convolution kernel as the matrix it is: (height * width * in, out)."""

    def _should_use_adamw(self, variable: Any) -> bool:
        if len(variable.shape) != 4 or any(name in variable.path for name in self.exclude_layers):
            return bool(super()._should_use_adamw(variable))
        return ".*" in self.exclude_layers

    def _muon_update_step(self, gradient: Any, variable: Any, lr: Any, m: Any) -> None:
        if len(variable.shape) == 2:
            super()._muon_update_step(gradient, variable, lr, m)
            return
        self.assign_add(m, ops.add(gradient, m * (self.momentum - 1)))
        matrix = ops.reshape(gradient + self.momentum * m, (-1, variable.shape[-1]))
        update = self.lr_adjust(lr * self.zeropower_via_newtonschulz5(matrix, self.ns_steps))
        self.assign_sub(variable, ops.reshape(update, variable.shape))
