"""The metric stage as a resumable run: rounds of steps, a checkpoint after each, a look at the yardstick
now and then.

A round is one `model.fit` over a fixed stretch of a stream that depends on the seed alone. Killed at any
moment, a run started again with the same folder repeats the round it was in and ends where it would have
ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops
from tqdm import tqdm

from facelatch_training.dataset import CropArray
from facelatch_training.metric import MetricBatches, MetricData, build_metric_model
from facelatch_training.network import REGISTERED, build_tower
from facelatch_training.recipe import MetricRecipe, Recipe
from facelatch_training.runfolder import RunFolder, TrainingError
from facelatch_training.validation import Yardstick


@REGISTERED
class WarmStableDecay(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """Linear warm-up, a stable rate, and a linear fall to zero over the last `decay` steps before `end`."""

    def __init__(self, rate: float, warmup: int, decay: int, end: int) -> None:
        self.rate, self.warmup, self.decay, self.end = rate, warmup, decay, end

    def __call__(self, step: Any) -> Any:
        """The rate at a step."""
        now = ops.cast(step, "float32")
        rise = ops.minimum((now + 1.0) / max(self.warmup, 1), 1.0)
        fall = ops.clip((self.end - now) / max(self.decay, 1), 0.0, 1.0)
        return self.rate * ops.minimum(rise, fall)

    def get_config(self) -> dict[str, Any]:
        """What rebuilds this schedule."""
        return {"rate": self.rate, "warmup": self.warmup, "decay": self.decay, "end": self.end}


class Progress(keras.callbacks.Callback):  # type: ignore[misc]
    """A bar over all steps of a stage: images per second and time left."""

    def __init__(self, bar: Any, batch: int) -> None:
        super().__init__()
        self._bar, self._batch = bar, batch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Advance by one batch."""
        del batch, logs
        self._bar.update(self._batch)


def fit_metric(
    run: RunFolder,
    recipe: Recipe,
    data: MetricData,
    yardstick: Yardstick,
    *,
    finish_in: int | None = None,
    initial: keras.Model | None = None,
) -> keras.Model:
    """Train the tower, or go on training it, and return it.

    `finish_in`: start the decay now and end after so many more steps. `initial`: a tower to start from
    instead of chance. Raises TrainingError on a loss that is no number (checkpoint kept) or a checkpoint
    that cannot be written.
    """
    stage = recipe.metric
    keras.utils.set_random_seed(recipe.seed)
    tower = initial if initial is not None else build_tower(recipe.tower)
    model = build_metric_model(tower, stage, int(data.labels.max()) + 1, data.centres())
    model.optimizer.build(model.trainable_variables)
    variables = [*model.variables, *model.optimizer.variables]
    state = run.load("metric", variables) or {
        "step": 0,
        "end": stage.steps,
        "decay": stage.decay_steps,
        "seconds": 0.0,
    }
    if finish_in is not None:
        run.save("metric-stable", variables, state)
        state |= {"end": state["step"] + finish_in, "decay": finish_in}
    model.optimizer.learning_rate = WarmStableDecay(
        stage.rate, stage.warmup_steps, state["decay"], state["end"]
    )

    with _bar(state, stage) as bar:
        while state["step"] < state["end"]:
            steps = min(stage.round_steps, state["end"] - state["step"])
            began = time.monotonic()
            batches = MetricBatches(data, recipe, state["step"], steps)
            losses = model.fit(batches, verbose=0, callbacks=[Progress(bar, stage.batch)]).history
            line = {name.removesuffix("_loss"): values[-1] for name, values in losses.items()}
            _demand_numbers(line, state["step"])
            state["step"] += steps
            state["seconds"] += time.monotonic() - began
            if (
                state["step"] // stage.round_steps % stage.validate_rounds == 0
                or state["step"] >= state["end"]
            ):
                line |= yardstick.measure(embed(tower, yardstick.crops))
            run.save("metric", variables, state)
            run.log("metric", {"step": state["step"], "seconds": state["seconds"], **line})
            run.draw("metric")
            bar.set_postfix_str(f"loss {line['loss']:.3f}")
    return tower


def embed(tower: Callable[..., Any], crops: CropArray, batch: int = 256) -> npt.NDArray[np.float32]:
    """Crops (N, 112, 112, 3) -> unit embeddings (N, D)."""
    parts = [
        np.asarray(tower(crops[start : start + batch], training=False))
        for start in range(0, len(crops), batch)
    ]
    return np.asarray(np.concatenate(parts), dtype=np.float32)


def _bar(state: dict[str, Any], stage: MetricRecipe) -> Any:
    done, end = state["step"] * stage.batch, state["end"] * stage.batch
    return tqdm(total=end, initial=done, desc="metric stage", unit="img", mininterval=2.0, smoothing=0.05)


def _demand_numbers(line: dict[str, float], step: int) -> None:
    if not all(np.isfinite(value) for value in line.values()):
        raise TrainingError(
            f"the loss is no longer a number in the round after step {step}",
            hint="the checkpoint of that step is untouched; lower metric.rate and go on in a new run folder",
        )
