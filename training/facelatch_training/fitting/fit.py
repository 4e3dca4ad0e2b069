"""The two stages, each fitted to its own data: metric learning of the core, then pairs through the whole network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import keras

from facelatch_training.batches.live_teacher import LiveTeacher
from facelatch_training.batches.makers import BatchMakers
from facelatch_training.batches.pairs import PairSampler
from facelatch_training.batches.samples import Batch, MetricData, Samples
from facelatch_training.data.crops import Crops
from facelatch_training.fitting.metric import MetricBatches, build_metric_model
from facelatch_training.fitting.runfolder import RunFolder
from facelatch_training.fitting.siamese import PairBatches, build_siamese_model, thaw
from facelatch_training.fitting.stage import Stage
from facelatch_training.fitting.validation import Yardstick
from facelatch_training.model.tower import build_core, core_of, embed, unit_length
from facelatch_training.recipe import Recipe


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
    """The function that makes batches: in this process, or in others that end with the stage."""
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
            origin=weights_sha256(core_of(tower)),
        ).fit(run)
    thaw(tower)
    return model


def weights_sha256(model: keras.Model) -> str:
    """SHA-256 of a model's weights."""
    digest = hashlib.sha256()
    for weights in model.get_weights():
        digest.update(weights.tobytes())
    return digest.hexdigest()


def judge(siamese: keras.Model, yardstick: Yardstick) -> dict[str, float]:
    """The yardstick's figures for a Siamese network, by its similarity instead of the angle."""
    tower, head = siamese.get_layer("tower"), siamese.get_layer("head")
    return yardstick.judge(embed(tower, yardstick.crops), head)
