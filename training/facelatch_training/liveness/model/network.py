"""The liveness network: one small residual network for every look.

view (80, 80, 3), 0..255
  stem    40 x 40 x 16
  stage 2 20 x 20 x 32, two residual blocks
  stage 3 10 x 10 x 64, one residual block
  stage 4  5 x  5 x 96, one residual block
  mean over the picture -> (2,): logit of being alive; logit of a screen rather than a print
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from facelatch.vision.liveness import VIEW_PX


def build_network(*, scaled: bool = True) -> Any:
    """A Keras model: float views (B, 80, 80, 3) in 0..255 -> logits (B, 2).

    `scaled=False` leaves out the division by 255, for the export, which folds it into the stem.
    """
    image = keras.Input((VIEW_PX, VIEW_PX, 3), name="image")
    x = layers.Rescaling(1 / 255, name="unit")(image) if scaled else image
    x = _block(x, 16, 2, "stem")
    x = _block(x, 32, 2, "stage2")
    x = _block(_block(x, 32, 1, "stage2a"), 32, 1, "stage2b")
    x = _block(_block(x, 64, 2, "stage3"), 64, 1, "stage3a")
    x = _block(_block(x, 96, 2, "stage4"), 96, 1, "stage4a")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(0.2, name="dropout")(x)
    return keras.Model(image, layers.Dense(2, name="logits")(x), name="liveness")


def _block(x: Any, width: int, stride: int, name: str) -> Any:
    """Convolution 3x3, batch norm, ReLU; with a shortcut where the shape stays."""
    y = layers.Conv2D(width, 3, stride, padding="same", use_bias=False, name=name)(x)
    y = layers.BatchNormalization(momentum=0.97, name=f"{name}_norm")(y)
    if stride == 1:
        y = layers.Add(name=f"{name}_sum")([x, y])
    return layers.Activation("relu", name=f"{name}_relu")(y)


@keras.saving.register_keras_serializable("facelatch")
class LivenessLoss(keras.losses.Loss):  # type: ignore[misc, unused-ignore]
    """Cross entropy of being alive, and of the kind of an attack where that is known.

    Targets (B, 3): share of alive 0..1; screen 1 or print 0; whether the kind is known.
    """

    def __init__(self, kind_weight: float = 0.2, **rest: Any) -> None:
        super().__init__(**rest)
        self.kind_weight = kind_weight

    def get_config(self) -> dict[str, Any]:
        """What rebuilds this loss."""
        return {**super().get_config(), "kind_weight": self.kind_weight}

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """One number a view."""
        y_true = ops.cast(y_true, "float32")
        alive = ops.softplus(y_pred[:, 0]) - y_true[:, 0] * y_pred[:, 0]
        kind = ops.softplus(y_pred[:, 1]) - y_true[:, 1] * y_pred[:, 1]
        return alive + self.kind_weight * y_true[:, 2] * kind
