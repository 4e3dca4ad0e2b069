"""Batches of patches for the refining network: shifted, mirrored and relit on the fly; seeded."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from facelatch.vision.align import CROP_SIZE_PX, TEMPLATE, halved
from facelatch.vision.finder_refine import UNIT_PX, mirrored_points
from facelatch_training.finder.data.patches import SPARE, Patches
from facelatch_training.finder.recipe import Recipe

_SHIFT_PX = 2.5


class PatchBatches(keras.utils.PyDataset):  # type: ignore[misc, unused-ignore]
    """(images (B, 56, 56, 3), targets (B, 11): ten outputs and UNIT_PX / eye distance)."""

    def __init__(self, data: Patches, recipe: Recipe, *, vary: bool, first_epoch: int = 0) -> None:
        super().__init__(workers=1)
        self._data, self._recipe, self._vary = data, recipe, vary
        self._epoch = first_epoch

    def __len__(self) -> int:
        return max(1, len(self._data.images) // self._recipe.refine.batch)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        rng = np.random.default_rng([self._recipe.seed, self._epoch, index])
        order = np.arange(len(self._data.images))
        if self._vary:
            np.random.default_rng([self._recipe.seed, self._epoch]).shuffle(order)
        chosen = order[index * self._recipe.refine.batch :][: self._recipe.refine.batch]
        shift = np.clip(np.rint(rng.normal(0, _SHIFT_PX, (len(chosen), 2))), -SPARE, SPARE).astype(int)
        corner = SPARE + (shift if self._vary else 0 * shift)
        images = np.stack(
            [
                self._data.images[row, y : y + CROP_SIZE_PX, x : x + CROP_SIZE_PX]
                for row, (x, y) in zip(chosen, corner, strict=True)
            ]
        )
        points = self._data.points[chosen] - corner[:, None]
        images = np.stack([halved(image) for image in images]).astype(np.float32)
        if self._vary:
            flip = rng.random(len(chosen)) < 0.5
            images[flip], points[flip] = images[flip, :, ::-1], mirrored_points(points[flip])
            gain = rng.uniform(0.75, 1.25, (len(chosen), 1, 1, 1)) * rng.uniform(
                0.92, 1.08, (len(chosen), 1, 1, 3)
            )
            images = np.clip(images * gain + rng.uniform(-18, 18, (len(chosen), 1, 1, 1)), 0, 255)
        eyes = np.hypot(*(points[:, 0] - points[:, 1]).T)
        units = ((points - TEMPLATE) / UNIT_PX).reshape(-1, 10)
        weight = UNIT_PX / np.maximum(eyes, 12)
        return images.astype(np.float32), np.column_stack([units, weight]).astype(np.float32)

    def on_epoch_end(self) -> None:
        """Order and variations of the next epoch."""
        self._epoch += 1
