"""A training run in a folder: what it is of, epochs that can be cut off anywhere and resumed, curves."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np

from facelatch.errors import InputError
from facelatch_training.files import file_sha256, replacing

LAST = "last.keras"
ABOUT = "run.json"


class Recipe(Protocol):
    """Whatever a run depends on."""

    @property
    def sha256(self) -> str:
        """Of its text."""
        ...

    def model_dump(self) -> dict[str, Any]:
        """Its keys and values."""
        ...


class Stage(Protocol):
    """How a network is trained."""

    @property
    def epochs(self) -> int:
        """How often the data are gone through."""
        ...

    @property
    def batch(self) -> int:
        """Examples of a step."""
        ...

    @property
    def learning_rate(self) -> float:
        """At its peak."""
        ...

    @property
    def weight_decay(self) -> float:
        """Of AdamW."""
        ...


def train(
    run: Path,
    final: str,
    about: dict[str, Any],
    epochs: int,
    *,
    fresh: Callable[[], Any],
    batches: Callable[[int], Any],
    check: Any = None,
) -> Any:
    """Trains into the folder `run`, or goes on where it was cut off; returns the model with averaged weights.

    `fresh` makes the compiled model, `batches` the data from an epoch on, `final` is the result's file name.
    Raises InputError when the folder holds a run about something else.
    """
    _refuse_another(run, about)
    if (run / final).is_file():
        return keras.models.load_model(run / final, compile=False)
    model = keras.models.load_model(run / LAST) if (run / LAST).is_file() else fresh()
    _claim(run, about)  # after what may refuse to begin
    # The model's own step count says how far it is: a run killed between two files may have only one of them.
    done = int(model.optimizer.iterations) // len(batches(0))
    model.fit(
        batches(done),
        validation_data=check,
        epochs=epochs,
        initial_epoch=done,
        callbacks=[_SaveEachEpoch(run)],
        shuffle=False,  # Keras would shuffle the batches by a state that a resumed run has lost
        verbose=2,
    )  # at its end the optimizer replaces the weights by their moving averages
    save(model, run / final)
    return model


def averaged(run: Path, final: str) -> Any:
    """The model of a run, finished or not, with the moving averages of its weights."""
    if (run / final).is_file():
        return keras.models.load_model(run / final, compile=False)
    if not (run / LAST).is_file():
        raise InputError(f"{run / LAST}: no such file", hint="train this network first")
    model = keras.models.load_model(run / LAST)
    model.optimizer.finalize_variable_values(model.trainable_variables)
    return model


def about(recipe: Recipe, fingerprint: str, start: Path | None) -> dict[str, Any]:
    """What a run is of: its recipe, the data with this fingerprint, the weights it begins with."""
    description = {"recipe_sha256": recipe.sha256, "data": fingerprint, "recipe": recipe.model_dump()}
    if start is not None:
        description["start_sha256"] = file_sha256(start)
    return description


def compiled(model: Any, loss: Any, stage: Stage, examples: int, start: Path | None) -> Any:
    """`model` ready to train by the recipe's `stage`, with the weights of the model `start` where there is one.

    Raises InputError if `start` is not such a network.
    """
    if start is not None:
        model.set_weights(_weights_for(model, start))
    optimizer = _optimizer(
        stage.learning_rate, stage.weight_decay, max(1, examples // stage.batch), stage.epochs
    )
    # XLA is slower than TensorFlow's own kernels on a CPU, and without it JAX would not compile at all.
    model.compile(optimizer, loss, jit_compile=keras.backend.backend() == "jax")
    return model


def _weights_for(model: Any, start: Path) -> Any:
    hint = "give the .keras file of such a network, of a run or of models/"
    try:
        weights = keras.models.load_model(start, compile=False).get_weights()
    except (ValueError, TypeError, OSError, KeyError) as error:
        raise InputError(f"{start}: not a saved Keras model: {error}", hint=hint) from error
    if [one.shape for one in weights] != [one.shape for one in model.get_weights()]:
        raise InputError(f"{start}: another network than the one to train", hint=hint)
    return weights


def _optimizer(rate: float, weight_decay: float, steps: int, epochs: int) -> Any:
    """AdamW: one epoch of warming up, then down along a cosine; weights averaged on the way."""
    schedule = keras.optimizers.schedules.CosineDecay(
        rate / 100,
        decay_steps=max(1, steps * (epochs - 1)),
        warmup_target=rate,
        warmup_steps=steps,
        alpha=0.01,
    )
    return keras.optimizers.AdamW(
        schedule, weight_decay=weight_decay, clipnorm=5.0, use_ema=True, ema_momentum=0.998
    )


def save(model: Any, path: Path) -> None:
    """Writes the model so that a crash leaves the old file or the new one, never half a file."""
    with replacing(path) as partial:
        model.save(partial)


class _SaveEachEpoch(keras.callbacks.Callback):  # type: ignore[misc, unused-ignore]
    """After each epoch: the whole state, a row of figures, the curves."""

    def __init__(self, run: Path) -> None:
        super().__init__()
        self._run = run

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        save(self.model, self._run / LAST)
        rows = [r for r in _history(self._run) if int(r["epoch"]) <= epoch]
        rows.append({"epoch": epoch + 1, **{key: f"{value:.5f}" for key, value in (logs or {}).items()}})
        with replacing(self._run / "history.csv") as partial, partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[-1]), extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        _plot(rows, self._run / "curves.png")


def _refuse_another(run: Path, about: dict[str, Any]) -> None:
    path = run / ABOUT
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")) != about:
        raise InputError(f"{path}: a run of another recipe or data", hint="give another folder with --run")


def refuse_other_recipe(run: Path, recipe: Recipe) -> None:
    """Raises InputError when `run` was made by another recipe, or is no run."""
    path = run / ABOUT
    if not path.is_file():
        raise InputError(f"{path}: no such file", hint="start with `facelatch-train finder fit`")
    if json.loads(path.read_text(encoding="utf-8"))["recipe_sha256"] != recipe.sha256:
        raise InputError(f"{path}: a run of another recipe", hint="give the recipe it was made by")


def _claim(run: Path, about: dict[str, Any]) -> None:
    if not (run / ABOUT).is_file():
        with replacing(run / ABOUT) as partial:
            partial.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def _history(run: Path) -> list[dict[str, Any]]:
    path = run / "history.csv"
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _plot(rows: list[dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4))
    for key in ("loss", "val_loss"):
        if key in rows[-1]:
            axes.plot([int(r["epoch"]) for r in rows], [float(r.get(key) or np.nan) for r in rows], label=key)
    axes.set(xlabel="epoch", ylabel="loss", yscale="log")
    axes.legend()
    figure.tight_layout()
    with replacing(path) as partial:
        figure.savefig(partial)
    pyplot.close(figure)
