"""Batches of composed pictures: shifted, mirrored and relit on the fly, with their targets; seeded."""

from __future__ import annotations

from typing import Any

import cv2
import keras
import numpy as np

from facelatch_training.finder.data.faces import Image
from facelatch_training.finder.data.labels import Labels, mirror, visible_share
from facelatch_training.finder.data.prepare import Prepared
from facelatch_training.finder.data.targets import targets
from facelatch_training.finder.recipe import SIZES, Recipe


class Batches(keras.utils.PyDataset):  # type: ignore[misc, unused-ignore]
    """(images uint8 (B, 240, 320, 3), targets (B, cells, 17)); epoch and index decide everything in it."""

    def __init__(self, data: Prepared, recipe: Recipe, *, vary: bool, first_epoch: int = 0) -> None:
        super().__init__(workers=1)
        self._data, self._recipe, self._vary = data, recipe, vary
        self._epoch = first_epoch
        self._order = self._shuffled()

    def __len__(self) -> int:
        return max(1, len(self._order) // self._recipe.fit.batch)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        batch = self._recipe.fit.batch
        rows = [self._example(int(i)) for i in self._order[index * batch : (index + 1) * batch]]
        return np.stack([image for image, _ in rows]), np.stack([target for _, target in rows])

    def on_epoch_end(self) -> None:
        """Order and variations of the next epoch."""
        self._epoch += 1
        self._order = self._shuffled()

    def _shuffled(self) -> Any:
        order = np.arange(len(self._data.images))
        if self._vary:
            np.random.default_rng([self._recipe.seed, self._epoch]).shuffle(order)
        return order

    def _example(self, index: int) -> tuple[Image, Labels]:
        rng = np.random.default_rng([self._recipe.seed, self._epoch, index])
        image = self._data.images[index]
        faces, ignore = (_rows(store[index]) for store in (self._data.faces, self._data.ignore))
        width, height = SIZES[0]
        spare = np.array([image.shape[1] - width, image.shape[0] - height])
        shift = rng.integers(0, spare + 1) if self._vary else spare // 2
        image = np.array(image[shift[1] : shift[1] + height, shift[0] : shift[0] + width])
        faces = faces - np.array([*shift, 0, 0] + [*shift] * 5, np.float32)
        ignore = ignore - np.array([*shift, 0, 0], np.float32)
        if self._vary:
            if rng.random() < 0.5:
                image = np.ascontiguousarray(image[:, ::-1])
                faces, ignore = mirror(faces, width), mirror(ignore, width)
            image = _relit(image, rng)
        share = visible_share(faces[:, :4], width, height)
        cut = faces[(share > 0.05) & (share <= 0.5), :4]
        kept = faces[share > 0.5]
        ignored = np.concatenate([ignore, cut])
        return image, targets(kept, ignored, (width, height), self._recipe.data.smallest_px)


def _rows(stored: Labels) -> Labels:
    return np.asarray(stored[~np.isnan(stored[:, 0])], np.float32)


def _relit(image: Image, rng: np.random.Generator) -> Image:
    """A little gain, offset and colour balance by table."""
    gain = rng.uniform(0.75, 1.25) * rng.uniform(0.92, 1.08, 3)
    table = np.arange(256)[:, None] * gain + rng.uniform(-18, 18)
    return np.asarray(cv2.LUT(image, np.clip(table, 0, 255).astype(np.uint8)[None]), np.uint8)
