"""The training of the liveness network, in a run folder that can be cut off and resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from facelatch_training.finder.model import runs
from facelatch_training.liveness.data.batches import Batches
from facelatch_training.liveness.data.prepare import Prepared
from facelatch_training.liveness.model.network import LivenessLoss, build_network
from facelatch_training.liveness.recipe import Recipe

FINAL = "liveness.keras"


def fit(
    recipe: Recipe, data: Prepared, run: Path, *, start: Path | None = None, left_out: tuple[str, ...] = ()
) -> Any:
    """Trains into the folder `run`, or goes on where it was cut off; returns the network with averaged weights.

    `left_out` names families of sources that it never sees, `start` a model whose weights to begin with. Raises
    InputError when the folder holds another run.
    """
    about = {**runs.about(recipe, data.fingerprint, start), "left_out": list(left_out)}

    def fresh() -> Any:
        keras.utils.set_random_seed(recipe.seed)
        examples = recipe.fit.steps * recipe.fit.batch
        return runs.compiled(
            build_network(), LivenessLoss(recipe.fit.kind_weight), recipe.fit, examples, start
        )

    return runs.train(
        run,
        FINAL,
        about,
        recipe.fit.epochs,
        fresh=fresh,
        batches=lambda done: Batches(data, recipe, left_out=left_out, first_epoch=done),
    )
