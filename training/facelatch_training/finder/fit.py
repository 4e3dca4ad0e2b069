"""Training: recipe and fingerprint first, then epochs that can be cut off anywhere and resumed."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from facelatch.errors import InputError
from facelatch_training.finder.batches import Batches
from facelatch_training.finder.network import WIDTHS, build_network
from facelatch_training.finder.prepare import Prepared
from facelatch_training.finder.recipe import SIZES, Recipe

LAST, FINAL = "last.keras", "finder.keras"


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


def _rounded(error: Any, corner: float = 0.01) -> Any:
    """The absolute error, round at zero so that small errors settle."""
    return ops.sqrt(ops.square(error) + corner**2) - corner


def fit(
    recipe: Recipe, data: Prepared, run: Path, *, check: Prepared | None = None, start: Path | None = None
) -> Any:
    """Trains into the folder `run`, or goes on where it was cut off; returns the model with averaged weights.

    `start` is a model whose weights to begin with, instead of random ones.
    Raises InputError when the folder holds a run of another recipe or other data.
    """
    if (run / FINAL).is_file():
        return keras.models.load_model(run / FINAL, compile=False)
    _claim(recipe, data, run, start)
    done = _epochs_done(run)
    model = keras.models.load_model(run / LAST) if done else _fresh(recipe, data, start)
    batches = Batches(data, recipe, vary=True, first_epoch=done)
    model.fit(
        batches,
        validation_data=Batches(check, recipe, vary=False) if check else None,
        epochs=recipe.fit.epochs,
        initial_epoch=done,
        callbacks=[_Keep(run)],
        verbose=2,
    )  # ends by putting the moving averages in the place of the weights
    save(model, run / FINAL)
    return model


def averaged(run: Path) -> Any:
    """The model of an unfinished run, with the moving averages of its weights."""
    if (run / FINAL).is_file():
        return keras.models.load_model(run / FINAL, compile=False)
    if not (run / LAST).is_file():
        raise InputError(f"{run / LAST}: no such file", hint="start with `facelatch-train finder fit`")
    model = keras.models.load_model(run / LAST)
    model.optimizer.finalize_variable_values(model.trainable_variables)
    return model


def save(model: Any, path: Path) -> None:
    """Writes the model so that a crash leaves the old file or the new one, never half a file."""
    part = path.with_name(f"part-{path.name}")
    model.save(part)
    part.replace(path)


class _Keep(keras.callbacks.Callback):  # type: ignore[misc, unused-ignore]
    """After each epoch: the whole state, a row of figures, the curves."""

    def __init__(self, run: Path) -> None:
        super().__init__()
        self._run = run

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        save(self.model, self._run / LAST)
        rows = [r for r in _history(self._run) if int(r["epoch"]) <= epoch]
        rows.append({"epoch": epoch + 1, **{key: f"{value:.5f}" for key, value in (logs or {}).items()}})
        part = self._run / "part-history.csv"
        with part.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[-1]), extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        part.replace(self._run / "history.csv")
        _plot(rows, self._run / "curves.png")


def _fresh(recipe: Recipe, data: Prepared, start: Path | None) -> Any:
    keras.utils.set_random_seed(recipe.seed)
    model = build_network(*SIZES[0], widths=WIDTHS)
    if start is not None:
        model.set_weights(keras.models.load_model(start, compile=False).get_weights())
    steps = max(1, len(data.images) // recipe.fit.batch)
    rate = keras.optimizers.schedules.CosineDecay(
        recipe.fit.learning_rate / 100,
        decay_steps=max(1, steps * (recipe.fit.epochs - 1)),
        warmup_target=recipe.fit.learning_rate,
        warmup_steps=steps,
        alpha=0.01,
    )
    optimizer = keras.optimizers.AdamW(
        rate, weight_decay=recipe.fit.weight_decay, clipnorm=5.0, use_ema=True, ema_momentum=0.998
    )
    loss = FinderLoss(recipe.fit.box_weight, recipe.fit.landmark_weight)
    # XLA is slower than TensorFlow's own kernels on a CPU, and without it JAX would not compile at all.
    model.compile(optimizer, loss, jit_compile=keras.backend.backend() == "jax")
    return model


def _claim(recipe: Recipe, data: Prepared, run: Path, start: Path | None) -> None:
    run.mkdir(parents=True, exist_ok=True)
    about = {"recipe_sha256": recipe.sha256, "data": data.fingerprint, "recipe": recipe.model_dump()}
    if start is not None:
        about["start_sha256"] = hashlib.sha256(start.read_bytes()).hexdigest()
    path = run / "run.json"
    if path.is_file():
        if json.loads(path.read_text(encoding="utf-8")) != about:
            raise InputError(
                f"{path}: a run of another recipe or data", hint="give another folder with --run"
            )
    else:
        path.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def _epochs_done(run: Path) -> int:
    if not (run / LAST).is_file():
        return 0
    return max((int(row["epoch"]) for row in _history(run)), default=0)


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
    figure.savefig(path.with_name("part-curves.png"), format="png")
    path.with_name("part-curves.png").replace(path)
    pyplot.close(figure)
