"""The training of the finder's two networks, each in a run folder of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from facelatch_training.finder.data.batches import Batches
from facelatch_training.finder.data.patch_batches import PatchBatches
from facelatch_training.finder.data.patches import Patches
from facelatch_training.finder.data.prepare import Prepared
from facelatch_training.finder.model import runs
from facelatch_training.finder.model.losses import FinderLoss, landmark_loss
from facelatch_training.finder.model.network import build_network
from facelatch_training.finder.model.refiner import build_refiner
from facelatch_training.finder.recipe import SIZES, Fit, Recipe, Refine

FINAL = "finder.keras"
"""The result of a finder's run, in its folder."""

REFINER_FOLDER, REFINER_FINAL = "refiner", "refiner.keras"
"""The refining network's run, as a folder in the finder's, and the result in it."""


@dataclass(frozen=True)
class _Trainee:
    """One of the two networks, with its data, its loss and its part of the recipe."""

    recipe: Recipe
    section: Fit | Refine
    """The part of the recipe that is about this network."""
    final: str
    build: Callable[[], Any]
    loss: Any
    batches: Callable[..., Any]


def fit(
    recipe: Recipe, data: Prepared, run: Path, *, check: Prepared | None = None, start: Path | None = None
) -> Any:
    """Trains the finder into the folder `run`, or goes on where it was cut off; returns it with averaged weights.

    `check` are pictures of which only the curves are drawn, `start` is a model whose weights to begin with, instead of
    random ones. Raises InputError when the folder holds a run of another recipe or other data.
    """
    trainee = _Trainee(
        recipe=recipe,
        section=recipe.fit,
        final=FINAL,
        build=lambda: build_network(*SIZES[0]),
        loss=FinderLoss(recipe.fit.box_weight, recipe.fit.landmark_weight),
        batches=Batches,
    )
    return _train(trainee, data, run, check, start)


def fit_refiner(
    recipe: Recipe, data: Patches, run: Path, *, check: Patches | None = None, start: Path | None = None
) -> Any:
    """The same as `fit` for the network that sharpens landmarks."""
    trainee = _Trainee(
        recipe=recipe,
        section=recipe.refine,
        final=REFINER_FINAL,
        build=build_refiner,
        loss=landmark_loss,
        batches=PatchBatches,
    )
    return _train(trainee, data, run, check, start)


def _train(trainee: _Trainee, data: Any, run: Path, check: Any, start: Path | None) -> Any:
    recipe = trainee.recipe

    def fresh() -> Any:
        keras.utils.set_random_seed(recipe.seed)
        return runs.compiled(trainee.build(), trainee.loss, trainee.section, len(data.images), start)

    return runs.train(
        run,
        trainee.final,
        runs.about(recipe, data.fingerprint, start),
        trainee.section.epochs,
        fresh=fresh,
        batches=lambda done: trainee.batches(data, recipe, vary=True, first_epoch=done),
        check=trainee.batches(check, recipe, vary=False) if check else None,
    )
