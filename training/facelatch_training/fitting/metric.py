"""The metric stage: a tower learns to place faces, from a teacher's embeddings and from names.

Everything here touches only `keras`, `keras.ops` and NumPy, so it runs on TensorFlow, JAX and PyTorch alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from facelatch_training.batches.samples import Batch
from facelatch_training.batches.teacher import Embeddings
from facelatch_training.data.crops import CROP_SIZE
from facelatch_training.fitting.distributed import Batches
from facelatch_training.model.layers import REGISTERED
from facelatch_training.recipe import MetricRecipe, Recipe


class MetricBatches(Batches):
    """Batches `first_step` to `first_step + steps` of the stream that `make` makes."""

    def __init__(self, make: Callable[[int], Batch], recipe: Recipe, first_step: int, steps: int) -> None:
        super().__init__(steps, workers=recipe.workers, max_queue_size=2 * recipe.workers)
        self._make, self._first = make, first_step

    def batch(self, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Inputs, and zeros in the place of targets."""
        images, labels, teacher = self._make(self._first + number)
        nothing = np.zeros((len(images), 1), np.float32)
        inputs = {"image": images, "label": labels, "teacher": teacher}
        return inputs, {"distill": nothing, "margin": nothing}


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
        has_teacher = ops.sum(ops.square(teacher), axis=-1, keepdims=True)
        return has_teacher - ops.sum(embedding * teacher, axis=-1, keepdims=True)

    def compute_output_shape(self, embedding_shape: Any, teacher_shape: Any) -> Any:
        """(B, 1)."""
        del teacher_shape
        return (embedding_shape[0], 1)


@REGISTERED
class KnownOr(layers.Layer):  # type: ignore[misc]
    """Rows of the first (B, D), and of the second (B, D) where the first has only zeros."""

    def call(self, first: Any, second: Any) -> Any:
        """(B, D)."""
        return ops.where(ops.any(first != 0, axis=-1, keepdims=True), first, second)

    def compute_output_shape(self, first_shape: Any, second_shape: Any) -> Any:
        """(B, D)."""
        del second_shape
        return first_shape


def build_metric_model(
    tower: keras.Model,
    recipe: MetricRecipe,
    classes: int,
    centres: Embeddings | None,
    live_teacher: layers.Layer | None = None,
) -> Any:
    """A model of image, label and teacher whose two outputs *are* the losses, compiled and ready to fit.

    `live_teacher` answers for every image whose row of `teacher` is zeros.
    """
    width = int(tower.output.shape[-1])
    image = keras.Input((CROP_SIZE, CROP_SIZE, 3), dtype="uint8", name="image")
    label = keras.Input((1,), dtype="int32", name="label")
    teacher = keras.Input((width,), name="teacher")
    embedding = tower(image)
    softmax = MarginSoftmax(classes, recipe.margin, recipe.scale, name="margin")
    target = teacher if live_teacher is None else KnownOr()(teacher, live_teacher(image))
    outputs = {"distill": CosineGap(name="distill")(embedding, target), "margin": softmax(embedding, label)}
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
