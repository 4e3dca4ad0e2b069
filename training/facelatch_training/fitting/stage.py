"""One stage as a resumable run: rounds of steps, a checkpoint after each, figures on the yardstick.

A round is one `model.fit` over a fixed stretch of a stream that depends on the seed alone. Killed at any
moment, a run started again with the same folder repeats the round it was in and ends where it would have
ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from tqdm import tqdm

from facelatch_training.files import TrainingError
from facelatch_training.fitting.distributed import Batches, fit_round, forget_step, mean_over_workers
from facelatch_training.fitting.runfolder import RunFolder
from facelatch_training.model.layers import REGISTERED
from facelatch_training.recipe import MetricRecipe, SiameseRecipe

GUIDE = "tar@0.001"
"""The figure that decides between two states of a model."""


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

    def __init__(self, bar: Any, images: int) -> None:
        super().__init__()
        self._bar, self._images = bar, images

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Advance by one batch."""
        del batch, logs
        self._bar.update(self._images)


@dataclass
class Stage:
    """A stage in training: its model, where its batches come from, and how far it is."""

    name: str
    model: Any
    recipe: MetricRecipe | SiameseRecipe
    batches: Callable[[int, int], Batches]
    """(first step, steps) -> their batches."""
    figures: Callable[[], dict[str, float]]
    """Measures the model on the yardstick."""
    images_per_step: int
    origin: str = ""
    """What the stage starts from, where that may change under a run."""

    def fit(self, run: RunFolder, *, finish_in: int | None = None) -> None:
        """Run to the end from wherever the run folder says the stage is.

        A checkpoint that began elsewhere than at `origin` is of no use any more: the stage starts anew.
        Raises TrainingError on a loss that is no number (checkpoint kept), a file that cannot be written
        (previous checkpoint kept), or workers of a cluster that are not at the same step.
        """
        recipe, model = self.recipe, self.model
        model.optimizer.build(model.trainable_variables)
        variables = [*model.variables, *model.optimizer.variables]
        start: dict[str, Any] = {"step": 0, "end": recipe.steps, "decay": recipe.decay_steps, "seconds": 0.0}
        start["origin"] = self.origin
        state = run.load(self.name, variables, self.origin) or start
        self._same_on_all_workers(state["step"])
        if finish_in is not None and not state.get("finishing"):
            run.save(f"{self.name}-stable", variables, state)
            run.note("finish_in", finish_in)
            state |= {"end": state["step"] + finish_in, "decay": finish_in, "finishing": True}
        self._set_rate(state)
        total, done = (state[key] * self.images_per_step for key in ("end", "step"))
        title = f"{self.name} stage"
        with tqdm(total=total, initial=done, desc=title, unit="img", mininterval=2.0, smoothing=0.05) as bar:
            while state["step"] < state["end"]:
                line = self._round(state, Progress(bar, self.images_per_step))
                run.log(self.name, line)
                if self._enough(run) and state["step"] + recipe.decay_steps < state["end"]:
                    state |= {"end": state["step"] + recipe.decay_steps, "decay": recipe.decay_steps}
                    self._set_rate(state)
                    bar.total = state["end"] * self.images_per_step
                run.save(self.name, variables, state)
                run.draw(self.name)
                bar.set_postfix_str(f"loss {line['loss']:.3f}")

    def _same_on_all_workers(self, step: int) -> None:
        """Killed between the checkpoints of two workers, a run would go on with two models, or wait for ever."""
        if mean_over_workers(np.array([float(step)]))[0] != step:
            raise TrainingError(
                f"{self.name} stage: this worker's checkpoint is of step {step}, another's is not",
                hint="copy all *.npz and *.csv of one worker into the folders of the others",
            )

    def _set_rate(self, state: dict[str, Any]) -> None:
        recipe = self.recipe
        schedule = WarmStableDecay(recipe.rate, recipe.warmup_steps, state["decay"], state["end"])
        self.model.optimizer.learning_rate = schedule
        forget_step(self.model)

    def _round(self, state: dict[str, Any], progress: Progress) -> dict[str, float]:
        recipe = self.recipe
        steps = min(recipe.round_steps, state["end"] - state["step"])
        began = time.monotonic()
        losses = fit_round(self.model, self.batches(state["step"], steps), progress)
        line = {name.removesuffix("_loss"): value for name, value in losses.items()}
        if not all(np.isfinite(value) for value in line.values()):
            raise TrainingError(
                f"{self.name} stage: the loss is no longer a number in the round after step {state['step']}",
                hint=f"the checkpoint of that step is untouched; lower {self.name}.rate in a new run folder",
            )
        state["step"] += steps
        state["seconds"] += time.monotonic() - began
        if state["step"] // recipe.round_steps % recipe.validate_rounds == 0 or state["step"] >= state["end"]:
            line |= self._figures()
        return {"step": state["step"], "seconds": state["seconds"], **line}

    def _figures(self) -> dict[str, float]:
        """The same on every worker of a cluster, as they decide together when it is enough."""
        figures = self.figures()
        means = mean_over_workers(np.array(list(figures.values())))
        return {name: float(mean) for name, mean in zip(figures, means, strict=True)}

    def _enough(self, run: RunFolder) -> bool:
        """Whether the yardstick has not improved for `patience` looks (0: never enough)."""
        guides = [line[GUIDE] for line in run.history(self.name) if GUIDE in line]
        patience = self.recipe.patience
        return 0 < patience < len(guides) and max(guides[:-patience]) >= max(guides[-patience:])
