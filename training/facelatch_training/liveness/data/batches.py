"""Batches of prepared views, drawn by source, relit and moved a little on the fly; seeded."""

from __future__ import annotations

from typing import Any

import cv2
import keras
import numpy as np
from numpy.typing import NDArray

from facelatch.vision.liveness import VIEW_PX
from facelatch_training.liveness.data.pictures import family_of
from facelatch_training.liveness.data.prepare import KINDS, MADE, Prepared
from facelatch_training.liveness.recipe import Recipe

ATTACK_SHARE = 0.5


class Batches(keras.utils.PyDataset):  # type: ignore[misc, unused-ignore]
    """(views uint8 (B, 80, 80, 3), targets (B, 3) of LivenessLoss); epoch and index decide everything in it.

    `left_out` names families of sources that are not shown. Half of each batch are attacks.
    """

    def __init__(
        self, data: Prepared, recipe: Recipe, *, left_out: tuple[str, ...] = (), first_epoch: int = 0
    ) -> None:
        super().__init__(workers=1)
        self._data, self._recipe, self._epoch = data, recipe, first_epoch
        shown = np.array([family_of(str(name)) not in left_out for name in data.source])
        self._rows = [np.flatnonzero(shown & (data.live == live)) for live in (0, 1)]
        self._targets = targets(data, recipe)

    def __len__(self) -> int:
        return self._recipe.fit.steps

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        rng = np.random.default_rng([self._recipe.seed, self._epoch, index])
        attacks = round(self._recipe.fit.batch * ATTACK_SHARE)
        rows = np.concatenate(
            [rng.choice(self._rows[0], attacks), rng.choice(self._rows[1], self._recipe.fit.batch - attacks)]
        )
        return np.stack([varied(self._data.images[row], rng) for row in rows]), self._targets[rows]

    def on_epoch_end(self) -> None:
        """Other views come in the next epoch."""
        self._epoch += 1


def targets(data: Prepared, recipe: Recipe) -> NDArray[np.float32]:
    """(N, 3) as LivenessLoss takes them."""
    teacher = np.where(data.source == MADE, recipe.fit.made_teacher, recipe.fit.real_teacher)
    alive = (1 - teacher) * data.live + teacher * data.teacher
    known = np.isin(data.kind, [KINDS.index(kind) for kind in ("print", "screen", "mask")])
    return np.asarray(np.stack([alive, data.kind == KINDS.index("screen"), known], axis=1), np.float32)


def varied(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A view (80, 80, 3) mirrored by chance, moved by a few pixels, with a little other light."""
    seen = image[:, ::-1] if rng.random() < 0.5 else image
    dx, dy = rng.integers(-3, 4, 2)
    grown = np.pad(seen, ((3, 3), (3, 3), (0, 0)), mode="reflect")
    seen = grown[3 + dy : 3 + dy + VIEW_PX, 3 + dx : 3 + dx + VIEW_PX]
    gain = rng.uniform(0.85, 1.15) * rng.uniform(0.96, 1.04, 3)
    table = np.clip(np.arange(256)[:, None] * gain + rng.uniform(-10, 10), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(np.ascontiguousarray(seen), table[None]), np.uint8)
