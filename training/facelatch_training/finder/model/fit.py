"""Training of the finder: its loss, and the run it is made in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
from keras import ops

from facelatch_training.finder.data.batches import Batches
from facelatch_training.finder.data.prepare import Prepared
from facelatch_training.finder.model import runs
from facelatch_training.finder.model.network import build_network
from facelatch_training.finder.recipe import SIZES, Recipe

FINAL = "finder.keras"


@keras.saving.register_keras_serializable("facelatch")
class FinderLoss(keras.losses.Loss):  # type: ignore[misc, unused-ignore]
    """Focal score loss over all cells asked; box and landmark errors as shares of the face."""

    def __init__(self, box_weight: float = 1.0, landmark_weight: float = 4.0, **rest: Any) -> None:
        super().__init__(reduction=None, **rest)
        self.box_weight, self.landmark_weight = box_weight, landmark_weight

    def get_config(self) -> dict[str, Any]:
        """For saving."""
        base = super().get_config()
        base.pop("reduction", None)
        return {**base, "box_weight": self.box_weight, "landmark_weight": self.landmark_weight}

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The mean over the batch, one number."""
        flag, weight, unit = y_true[..., 0], y_true[..., 1], y_true[..., 2:3]
        face = ops.cast(flag > 0.5, "float32")
        asked = ops.cast(flag > -0.5, "float32")
        logit = y_pred[..., 0]
        wrong = face * ops.sigmoid(-logit) + (1 - face) * ops.sigmoid(logit)
        cross = ops.softplus(logit) - face * logit
        score = ops.sum(asked * ops.square(wrong) * cross) / ops.maximum(ops.sum(face), 1.0)
        faces = ops.maximum(ops.sum(weight), 1.0)
        near = _rounded((y_pred[..., 1:3] - y_true[..., 3:5]) * unit)
        sides = _rounded(y_pred[..., 3:5] - y_true[..., 5:7])
        points = _rounded((y_pred[..., 5:15] - y_true[..., 7:17]) * unit)
        box = ops.sum(weight * (ops.sum(near, -1) + 0.5 * ops.sum(sides, -1))) / faces
        landmarks = ops.sum(weight * ops.mean(points, -1)) / faces
        return score + self.box_weight * box + self.landmark_weight * landmarks


def _rounded(error: Any) -> Any:
    return runs.rounded(ops.square(error))


def fit(
    recipe: Recipe, data: Prepared, run: Path, *, check: Prepared | None = None, start: Path | None = None
) -> Any:
    """Trains into the folder `run`, or goes on where it was cut off; returns the model with averaged weights.

    `start` is a model whose weights to begin with, instead of random ones.
    Raises InputError when the folder holds a run of another recipe or other data.
    """
    return runs.train(
        run,
        FINAL,
        runs.about(recipe, data.fingerprint, start),
        recipe.fit.epochs,
        fresh=lambda: _fresh(recipe, data, start),
        batches=lambda done: Batches(data, recipe, vary=True, first_epoch=done),
        check=Batches(check, recipe, vary=False) if check else None,
    )


def _fresh(recipe: Recipe, data: Prepared, start: Path | None) -> Any:
    keras.utils.set_random_seed(recipe.seed)
    loss = FinderLoss(recipe.fit.box_weight, recipe.fit.landmark_weight)
    return runs.compiled(build_network(*SIZES[0]), loss, recipe.fit, len(data.images), start)
