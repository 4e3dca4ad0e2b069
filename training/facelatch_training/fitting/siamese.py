"""The Siamese stage: pairs of crops through the whole network, binary cross-entropy, Adam at two rates."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from facelatch_training.batches.augment import augment
from facelatch_training.batches.pairs import Pairs, PairSampler
from facelatch_training.data.crops import CROP_SIZE, CropArray, Crops
from facelatch_training.fitting.distributed import Batches
from facelatch_training.model.layers import REGISTERED
from facelatch_training.model.siamese import build_siamese
from facelatch_training.model.tower import core_of
from facelatch_training.recipe import Recipe, SiameseRecipe


class PairBatches(Batches):
    """Batches `first_step` to `first_step + steps` of an endless seeded stream of balanced, augmented
    pairs.
    """

    def __init__(
        self, crops: Crops, sampler: PairSampler, recipe: Recipe, first_step: int, steps: int
    ) -> None:
        super().__init__(steps, workers=recipe.workers, max_queue_size=4)
        self._crops, self._sampler, self._recipe, self._first = crops, sampler, recipe, first_step
        if recipe.stream:
            self._crops = self._read_ahead()

    def batch(self, number: int) -> tuple[tuple[CropArray, CropArray], npt.NDArray[np.float32]]:
        """Two sides, and which pairs are genuine."""
        pairs, rng = self._draw(number)
        sides = []
        for rows in (pairs.anchor, pairs.validation):
            side = np.empty((len(rows), CROP_SIZE, CROP_SIZE, 3), np.uint8)
            for slot, row in enumerate(rows):
                side[slot] = augment(self._crops[int(row)], rng, self._recipe.augment)
            sides.append(side)
        return (sides[0], sides[1]), pairs.same.astype(np.float32)[:, None]

    def _draw(self, number: int) -> tuple[Pairs, np.random.Generator]:
        """The pairs of a batch, and the generator that goes on to augment them."""
        stage = self._recipe.siamese
        rng = np.random.default_rng([self._recipe.seed, 0x70616972, self._first + number])
        return self._sampler.draw(stage.batch, rng, stage.relatives, stage.nearest), rng

    def _read_ahead(self) -> dict[int, CropArray]:
        """The crops of all batches, read in the order of the table, which is that of the shards.

        Pairs come from anywhere: read one by one, nearly every crop would cost the decoding of a shard.
        """
        drawn = [self._draw(number)[0] for number in range(self._steps)]
        rows = np.unique([rows for pairs in drawn for rows in (pairs.anchor, pairs.validation)])
        return {int(row): self._crops[int(row)] for row in rows}


@REGISTERED
class TwoRateAdam(keras.optimizers.Adam):  # type: ignore[misc]
    """Adam that moves the head at the full rate and everything else at `tower_rate` times as much."""

    def __init__(self, tower_rate: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tower_rate = tower_rate

    def build(self, variables: list[Any]) -> None:
        """Remember which variables are the head's: the step itself may see them without their names."""
        super().build(variables)
        self._factors = [1.0 if "similarity" in v.path else self.tower_rate for v in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One variable's step."""
        factor = self._factors[self._get_variable_index(variable)]
        super().update_step(gradient, variable, learning_rate * factor)

    def get_config(self) -> dict[str, Any]:
        """What rebuilds this optimiser."""
        return {**super().get_config(), "tower_rate": self.tower_rate}


def build_siamese_model(tower: keras.Model, head: keras.Model, recipe: SiameseRecipe) -> Any:
    """The Siamese network compiled for the stage; batch normalisation keeps the statistics of the metric
    stage.
    """
    for layer in core_of(tower).layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    model = build_siamese(tower, head)
    model.compile(
        optimizer=TwoRateAdam(tower_rate=recipe.tower_rate, learning_rate=recipe.rate),
        loss="binary_crossentropy",
        metrics=["binary_accuracy"],
        jit_compile="auto" if keras.backend.backend() == "jax" else False,
    )
    return model


def thaw(tower: keras.Model) -> None:
    """Undo the freeze of `build_siamese_model`, so that a saved model trains as anyone expects."""
    for layer in core_of(tower).layers:
        layer.trainable = True
