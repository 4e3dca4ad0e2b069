"""The two stages as one resumable run: rounds of steps, a checkpoint after each, a look at the yardstick.

A round is one `model.fit` over a fixed stretch of a stream that depends on the seed alone. Killed at any
moment, a run started again with the same folder repeats the round it was in and ends where it would have
ended.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops
from tqdm import tqdm

from facelatch_training.batches.live_teacher import LiveTeacher
from facelatch_training.batches.makers import BatchMakers
from facelatch_training.batches.pairs import PairSampler
from facelatch_training.batches.samples import Batch, MetricData, Samples
from facelatch_training.data.crops import Crops
from facelatch_training.distributed import Batches, fit_round, forget_step, mean_over_workers
from facelatch_training.files import TrainingError
from facelatch_training.metric import MetricBatches, build_metric_model
from facelatch_training.model.layers import REGISTERED
from facelatch_training.model.tower import build_core, core_of, unit_length
from facelatch_training.recipe import MetricRecipe, Recipe, SiameseRecipe
from facelatch_training.runfolder import RunFolder
from facelatch_training.siamese import PairBatches, build_siamese_model, thaw
from facelatch_training.validation import Yardstick

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
        seen = [line[GUIDE] for line in run.history(self.name) if GUIDE in line]
        patience = self.recipe.patience
        return 0 < patience < len(seen) and max(seen[:-patience]) >= max(seen[-patience:])


def fit_metric(
    run: RunFolder,
    recipe: Recipe,
    data: MetricData,
    yardstick: Yardstick,
    *,
    finish_in: int | None = None,
    start: keras.Model | None = None,
    teacher: Path | None = None,
) -> keras.Model:
    """Train the core of the tower, or go on training it, and return it.

    `finish_in`: start the decay now and end after so many more steps; it counts once, however often the run
    is resumed. `start`: a core of the same shape whose weights a new run begins with. `teacher`: folder of the
    reference network, for a recipe whose teacher answers live. Raises InputError when it cannot be read, TrainingError
    as `Stage.fit` and when the processes that make batches cannot begin or were killed.
    """
    keras.utils.set_random_seed(recipe.seed)
    live = None
    with _precision(recipe.metric.precision):
        core = build_core(recipe.tower)
        if recipe.metric.live_teacher and teacher is not None:
            live = LiveTeacher(teacher, name="live_teacher")
    if start is not None:
        core.set_weights(start.get_weights())
    model = build_metric_model(core, recipe.metric, int(data.labels.max()) + 1, data.centres(), live)
    with _maker(Samples(data, recipe), recipe) as make:
        Stage(
            "metric",
            model,
            recipe.metric,
            batches=lambda first, steps: MetricBatches(make, recipe, first, steps),
            figures=lambda: yardstick.measure(embed(core, yardstick.crops)),
            images_per_step=recipe.metric.batch,
        ).fit(run, finish_in=finish_in)
    exact = build_core(recipe.tower)
    exact.set_weights(core.get_weights())
    return exact


@contextmanager
def _maker(samples: Samples, recipe: Recipe) -> Iterator[Callable[[int], Batch]]:
    """What makes batches: this process, or others for the time of the stage."""
    if not recipe.processes:
        yield samples.make
        return
    with closing(BatchMakers(samples, recipe.metric.batch, recipe.workers)) as makers:
        yield makers.make


@contextmanager
def _precision(policy: str) -> Iterator[None]:
    """Layers made inside compute in `policy`."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def fit_siamese(
    run: RunFolder,
    recipe: Recipe,
    siamese: keras.Model,
    crops: Crops,
    sampler: PairSampler,
    yardstick: Yardstick,
) -> keras.Model:
    """Train the whole network on pairs, or go on training it, and return it.

    It starts anew when the core that `siamese` comes with is no longer the one it started from.
    """
    keras.utils.set_random_seed(recipe.seed)
    tower, head = siamese.get_layer("tower"), siamese.get_layer("head")
    model = build_siamese_model(tower, head, recipe.siamese)
    with unit_length(tower):
        Stage(
            "siamese",
            model,
            recipe.siamese,
            batches=lambda first, steps: PairBatches(crops, sampler, recipe, first, steps),
            figures=lambda: judge(model, yardstick),
            images_per_step=2 * recipe.siamese.batch,
            origin=weights_mark(core_of(tower)),
        ).fit(run)
    thaw(tower)
    return model


def weights_mark(model: keras.Model) -> str:
    """SHA-256 of a model's weights."""
    digest = hashlib.sha256()
    for weights in model.get_weights():
        digest.update(weights.tobytes())
    return digest.hexdigest()


def judge(siamese: keras.Model, yardstick: Yardstick) -> dict[str, float]:
    """The yardstick's figures for a Siamese network, by its similarity instead of the angle."""
    tower, head = siamese.get_layer("tower"), siamese.get_layer("head")
    return yardstick.judge(embed(tower, yardstick.crops), head)


def embed(tower: Callable[..., Any], crops: Crops, batch: int = 256) -> npt.NDArray[np.float32]:
    """Crops (N, 112, 112, 3) -> embeddings (N, D)."""
    parts = []
    for start in range(0, len(crops), batch):
        rows = range(start, min(start + batch, len(crops)))
        found = tower(np.stack([crops[row] for row in rows]), training=False)
        parts.append(ops.convert_to_numpy(found))  # PyTorch refuses NumPy what a gradient may be asked of
    return np.asarray(np.concatenate(parts), dtype=np.float32)
