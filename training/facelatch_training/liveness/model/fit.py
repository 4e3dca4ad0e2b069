"""The training of the liveness network, in a run folder that can be cut off and resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras

from facelatch.errors import InputError
from facelatch_training.finder.model import runs
from facelatch_training.liveness.data.batches import Batches
from facelatch_training.liveness.data.prepare import Prepared
from facelatch_training.liveness.model.network import HintLoss, LivenessLoss, begin_with, build_network
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
        loss = {
            "logits": LivenessLoss(recipe.fit.label_weight, recipe.fit.kind_weight, recipe.fit.teacher_weight),
            "features": HintLoss(recipe.fit.features_weight),
            "maps": HintLoss(recipe.fit.maps_weight),
        }
        network = build_network(recipe.network)
        if start is not None:
            _begin_with(network, start)
        return runs.compiled(network, loss, recipe.fit, examples, None)

    return runs.train(
        run,
        FINAL,
        about,
        recipe.fit.epochs,
        fresh=fresh,
        batches=lambda done: Batches(data, recipe, left_out=left_out, first_epoch=done),
    )


def _begin_with(network: Any, start: Path) -> None:
    try:
        begin_with(network, keras.models.load_model(start, compile=False))
    except (ValueError, TypeError, OSError, KeyError) as error:
        raise InputError(
            f"{start}: no liveness network of the recipe's shape: {error}",
            hint="give the liveness.keras of a run, or that of models/ with config/liveness.toml",
        ) from error


def left_out_of(run: Path) -> tuple[str, ...]:
    """The families that a run has not seen. Raises InputError when there is none."""
    path = run / runs.ABOUT
    names = json.loads(path.read_text(encoding="utf-8")).get("left_out", []) if path.is_file() else []
    if not names:
        raise InputError(f"{run}: has seen every source", hint="`facelatch-train liveness fit --leave-out`")
    return tuple(names)
