"""The liveness network: one small residual network for every look.

view (80, 80, 3), 0..255
  stem         40 x 40
  stages 2..4  20 x 20, 10 x 10, 5 x 5, each with its residual blocks
  the mean over all places, or a weight for each place of each channel
  -> (3,): logit of being alive, from labels; logit of a screen rather than a print; the logit that the teacher gives

While it learns it also has to tell the teacher's features from its own, and the teacher's last maps from its stage 4.
At the door one number says how alive a face is: both logits of it, weighed (`door_network`).
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from facelatch.vision.liveness import VIEW_PX
from facelatch_training.liveness.data.teacher import FEATURE_COUNT, MAP_SHAPE
from facelatch_training.liveness.recipe import Shape


def build_network(shape: Shape, *, scaled: bool = True) -> Any:
    """The network as it learns: float views (B, 80, 80, 3) in 0..255 -> `logits` (B, 3), `features`, `maps`.

    `scaled=False` leaves out the division by 255, for the export, which folds it into the stem.
    """
    image, maps, pooled = _trunk(shape, scaled)
    return keras.Model(
        image,
        {
            "logits": layers.Dense(3, name="logits")(pooled),
            "features": layers.Dense(FEATURE_COUNT, name="features")(pooled),
            "maps": layers.Conv2D(MAP_SHAPE[-1], 1, name="maps")(maps),
        },
        name="liveness",
    )


def build_door(shape: Shape, *, scaled: bool = True) -> Any:
    """What the door runs: float views (B, 80, 80, 3) in 0..255 -> logits (B, 2) of alive and of a screen."""
    image, _, pooled = _trunk(shape, scaled)
    return keras.Model(image, layers.Dense(2, name="answer")(pooled), name="liveness_door")


def door_network(model: Any, shape: Shape, label_share: float) -> Any:
    """The trained `model` as the door runs it; of its two logits of alive, the labels' counts `label_share`."""
    door = build_door(shape)
    for layer in door.layers:
        if layer.weights and layer.name != "answer":
            layer.set_weights(model.get_layer(layer.name).get_weights())
    mix = np.array([[label_share, 0], [0, 1], [1 - label_share, 0]], np.float32)
    kernel, bias = model.get_layer("logits").get_weights()
    door.get_layer("answer").set_weights([kernel @ mix, bias @ mix])
    return door


def begin_with(model: Any, start: Any) -> None:
    """Gives `model` the weights of `start`, which may have been trained before there was a teacher's logit or a hint.

    Its logit of being alive then begins as the teacher's as well. Raises ValueError for a network of another shape.
    """
    known = {layer.name: layer.get_weights() for layer in start.layers}
    for layer in model.layers:
        if not layer.weights or (layer.name in ("features", "maps") and layer.name not in known):
            continue
        weights = known.get(layer.name, [])
        if layer.name == "logits" and weights and weights[0].shape[1] == 2:
            weights = [one[..., [0, 1, 0]] for one in weights]
        layer.set_weights(weights)


def _trunk(shape: Shape, scaled: bool) -> tuple[Any, Any, Any]:
    """Picture, maps of stage 4 and what all answers are linear in."""
    image = keras.Input((VIEW_PX, VIEW_PX, 3), name="image")
    x = layers.Rescaling(1 / 255, name="unit")(image) if scaled else image
    x = _block(x, shape.stem, 2, "stem")
    for number, (width, blocks) in enumerate(zip(shape.widths, shape.blocks, strict=True), start=2):
        x = _block(x, width, 2, f"stage{number}")
        for letter in "abcdefgh"[:blocks]:
            x = _block(x, width, 1, f"stage{number}{letter}")
    if not shape.places:
        pooled = layers.GlobalAveragePooling2D(name="pool")(x)
        return image, x, layers.Dropout(0.2, name="dropout")(pooled)
    y = _block(x, shape.places, 1, "wide", size=1)
    y = layers.DepthwiseConv2D(5, use_bias=False, name="places")(y)
    y = layers.BatchNormalization(momentum=0.97, name="places_norm")(y)
    return image, x, layers.Flatten(name="pool")(y)


def _block(x: Any, width: int, stride: int, name: str, size: int = 3) -> Any:
    """Convolution, batch norm, ReLU; with a shortcut where the shape stays."""
    y = layers.Conv2D(width, size, stride, padding="same", use_bias=False, name=name)(x)
    y = layers.BatchNormalization(momentum=0.97, name=f"{name}_norm")(y)
    if stride == 1 and x.shape[-1] == width:
        y = layers.Add(name=f"{name}_sum")([x, y])
    return layers.Activation("relu", name=f"{name}_relu")(y)


@keras.saving.register_keras_serializable("facelatch")
class LivenessLoss(keras.losses.Loss):  # type: ignore[misc, unused-ignore]
    """Of the three logits: the label, the kind of an attack, and the teacher's logit.

    Targets (B, 5): alive 0 or 1, whether that is known; screen 1 or print 0, whether that is known; the teacher's
    logit.
    """

    def __init__(
        self, label_weight: float = 0.3, kind_weight: float = 0.1, teacher_weight: float = 0.5, **rest: Any
    ) -> None:
        super().__init__(**rest)
        self.label_weight, self.kind_weight, self.teacher_weight = label_weight, kind_weight, teacher_weight

    def get_config(self) -> dict[str, Any]:
        """What rebuilds this loss."""
        names = ("label_weight", "kind_weight", "teacher_weight")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """One number a view."""
        y_true = ops.cast(y_true, "float32")
        alive = ops.softplus(y_pred[:, 0]) - y_true[:, 0] * y_pred[:, 0]
        kind = ops.softplus(y_pred[:, 1]) - y_true[:, 2] * y_pred[:, 1]
        apart = ops.abs(y_pred[:, 2] - y_true[:, 4])
        taught = ops.where(apart < 1, 0.5 * apart * apart, apart - 0.5)
        return (
            self.label_weight * y_true[:, 1] * alive
            + self.kind_weight * y_true[:, 3] * kind
            + self.teacher_weight * taught
        )


@keras.saving.register_keras_serializable("facelatch")
class HintLoss(keras.losses.Loss):  # type: ignore[misc, unused-ignore]
    """How far the student's features or maps are from the teacher's, both of variance one: mean square."""

    def __init__(self, weight: float = 1.0, **rest: Any) -> None:
        super().__init__(**rest)
        self.weight = weight

    def get_config(self) -> dict[str, Any]:
        """What rebuilds this loss."""
        return {**super().get_config(), "weight": self.weight}

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """One number a view, and a place of a map."""
        return self.weight * ops.mean(ops.square(ops.cast(y_true, "float32") - y_pred), axis=-1)
