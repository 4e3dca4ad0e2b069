"""What the finder's two networks are trained to make small."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

_CORNER = 0.01


@keras.saving.register_keras_serializable("facelatch")
class FinderLoss(keras.losses.Loss):  # type: ignore[misc, unused-ignore]
    """Focal score loss over all cells asked; box and landmark errors as shares of the face."""

    def __init__(self, box_weight: float = 1.0, landmark_weight: float = 4.0, **rest: Any) -> None:
        super().__init__(reduction=None, **rest)
        self.box_weight, self.landmark_weight = box_weight, landmark_weight

    def get_config(self) -> dict[str, Any]:
        """What rebuilds this loss."""
        base = super().get_config()
        base.pop("reduction", None)
        return {**base, "box_weight": self.box_weight, "landmark_weight": self.landmark_weight}

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The mean over the batch, one number."""
        flag, weight, unit = y_true[..., 0], y_true[..., 1], y_true[..., 2:3]
        face = ops.cast(flag > 0.5, "float32")
        counted = ops.cast(flag > -0.5, "float32")
        logit = y_pred[..., 0]
        wrong = face * ops.sigmoid(-logit) + (1 - face) * ops.sigmoid(logit)
        cross = ops.softplus(logit) - face * logit
        score = ops.sum(counted * ops.square(wrong) * cross) / ops.maximum(ops.sum(face), 1.0)
        faces = ops.maximum(ops.sum(weight), 1.0)
        centre = rounded_length(ops.square((y_pred[..., 1:3] - y_true[..., 3:5]) * unit))
        sides = rounded_length(ops.square(y_pred[..., 3:5] - y_true[..., 5:7]))
        points = rounded_length(ops.square((y_pred[..., 5:15] - y_true[..., 7:17]) * unit))
        box = ops.sum(weight * (ops.sum(centre, -1) + 0.5 * ops.sum(sides, -1))) / faces
        landmarks = ops.sum(weight * ops.mean(points, -1)) / faces
        return score + self.box_weight * box + self.landmark_weight * landmarks


@keras.saving.register_keras_serializable("facelatch")  # type: ignore[untyped-decorator, unused-ignore]
def landmark_loss(y_true: Any, y_pred: Any) -> Any:
    """The landmark error as it is reported: the mean distance as a share of the eye distance."""
    error = ops.reshape(y_pred - y_true[:, :10], (-1, 5, 2)) * y_true[:, 10:, None]
    return ops.mean(rounded_length(ops.sum(ops.square(error), axis=2)), axis=1)


def rounded_length(square: Any) -> Any:
    """The square root of `square`, with a rounded corner at zero, where the root itself has an endless slope."""
    return ops.sqrt(square + _CORNER**2) - _CORNER
