"""From a crop set to a trained Siamese network: runs the stages and keeps the better model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import keras
import numpy as np

from facelatch.errors import InputError
from facelatch_training.batches.onnx_teacher import INDEX
from facelatch_training.batches.pairs import PairSampler
from facelatch_training.batches.teacher import (
    EMBEDDING_SIZE,
    Embeddings,
    teacher_weights,
)
from facelatch_training.data.crops import Crops, RowsOf
from facelatch_training.files import TrainingError, replacing
from facelatch_training.fitting.distributed import cluster_scope, mean_over_workers, worker_folder
from facelatch_training.fitting.fit import fit_metric, fit_siamese, judge
from facelatch_training.fitting.material import (
    Material,
    Taught,
    embed_by_teacher,
    make_material_yardstick,
    metric_data,
    packed_answers,
)
from facelatch_training.fitting.runfolder import RunFolder
from facelatch_training.fitting.stage import GUIDE
from facelatch_training.model.siamese import build_head, build_siamese, load_siamese
from facelatch_training.model.tower import (
    before_lengths,
    before_turn,
    begin_core,
    centre_tower,
    core_of,
    embed,
    set_lengths,
    widen_tower,
)
from facelatch_training.recipe import Recipe

MODEL_NAME = "siamese.keras"

SOME_CROPS = 2048
"""Training crops that the tower's centre, its kinds of face and its lengths are taken from."""


@dataclass(frozen=True)
class Outcome:
    """What a run ended with; `before` are the figures of the model it started from, None for a fresh one."""

    model: Path
    before: dict[str, float] | None
    after: dict[str, float]
    judged_on: str
    """How many people and pairs the figures rest on."""


def train(
    material: Material,
    run_folder: Path,
    recipe: Recipe,
    cache: Path,
    *,
    teacher: Path | None = None,
    initial: Path | None = None,
    start_from: Path | None = None,
    finish_in: int | None = None,
    answers: Path | None = None,
) -> Outcome:
    """Run both stages, or go on with them, and save `siamese.keras` in the run folder.

    `teacher`: folder of the reference network; this or `answers`, a folder made by `facelatch-train teach`, is needed
    when the recipe distils. `initial`: a saved model to
    fine-tune by the Siamese stage alone; if it does not get better on the validation people, TrainingError is
    raised and no model written. `start_from`: a saved model whose tower a new metric stage begins with; the
    recipe's may have further blocks. `finish_in`: end the metric stage after so many more steps. Raises
    InputError when the recipe's tower cannot begin so; TrainingError, too, when the run folder began
    otherwise, and when a file cannot be written.
    """
    cv2.setNumThreads(1)  # the batches are prepared in threads of our own
    with cluster_scope():
        folder = worker_folder(run_folder)
        if initial is not None:
            return _fine_tune(material, folder, recipe, initial)
        return _train_anew(
            material,
            folder,
            recipe,
            cache,
            teacher=teacher,
            start_from=start_from,
            finish_in=finish_in,
            packed=answers,
        )


def _fine_tune(material: Material, folder: Path, recipe: Recipe, initial: Path) -> Outcome:
    """The Siamese stage of a saved model. Raises TrainingError when that makes it no better."""
    siamese = load_siamese(initial)  # before the run folder is made: a file that cannot be read leaves none
    run = RunFolder(folder, recipe, material.fingerprint, initial=initial)
    yardstick = make_material_yardstick(material)
    before = judge(siamese, yardstick)
    crops = RowsOf(material.crops, material.train)
    sampler = _pair_sampler(material, embed(core_of(siamese.get_layer("tower")), crops))
    # Lengths stay those of the saved model: few people are no measure of how alike all faces are.
    siamese = fit_siamese(run, recipe, siamese, crops, sampler, yardstick)
    after, target = judge(siamese, yardstick), folder / MODEL_NAME
    if _rank(after) <= _rank(before):
        raise TrainingError(
            f"{initial}: on {yardstick} {GUIDE} is {before[GUIDE]:.4f} (log loss {before['log_loss']:.4f}), "
            f"after fine-tuning {after[GUIDE]:.4f} ({after['log_loss']:.4f}); {target} was not written",
            hint="more people, or a lower siamese.rate in a new run folder",
        )
    _save(siamese, target)
    return Outcome(model=target, before=before, after=after, judged_on=str(yardstick))


def _train_anew(
    material: Material,
    folder: Path,
    recipe: Recipe,
    cache: Path,
    *,
    teacher: Path | None,
    start_from: Path | None,
    finish_in: int | None,
    packed: Path | None,
) -> Outcome:
    """Both stages, from random weights or from the tower of a saved model."""
    start = None if start_from is None else _core_from(recipe, start_from)
    distils = recipe.metric.distill_weight > 0
    weights = _weights_of(teacher, recipe) if distils and packed is None else None
    run = RunFolder(
        folder, recipe, material.fingerprint, start_from=start_from, teacher=packed / INDEX if packed else weights
    )
    taught = None if weights is None else Taught(embed_by_teacher(material, cache, weights))
    if packed is not None and distils:
        taught = packed_answers(material, packed, recipe, start)
    answers = None if taught is None else taught.crops
    yardstick = make_material_yardstick(material, answers)
    core = fit_metric(
        run,
        recipe,
        metric_data(material, recipe, taught, cache, weights),
        yardstick,
        finish_in=finish_in,
        start=start,
        teacher=None if weights is None else weights.parent,
    )
    crops = RowsOf(material.crops, material.train)
    siamese = _siamese_from(core, recipe, crops)
    alike = embed(core_of(siamese.get_layer("tower")), crops) if answers is None else answers[material.train]
    siamese = fit_siamese(run, recipe, siamese, crops, _pair_sampler(material, alike), yardstick)
    tower, target = siamese.get_layer("tower"), folder / MODEL_NAME
    set_lengths(tower, _embed_some(before_lengths(tower), crops, recipe.seed))
    after = judge(siamese, yardstick)
    _save(siamese, target)
    return Outcome(model=target, before=None, after=after, judged_on=str(yardstick))


def _siamese_from(core: keras.Model, recipe: Recipe, crops: Crops) -> keras.Model:
    """The whole network as the Siamese stage begins with it: the trained core, centred on its training people."""
    tower = widen_tower(core, recipe.tower.embedding, mirror=recipe.tower.mirror)
    centre_tower(tower, _embed_some(before_turn(tower), crops, recipe.seed).mean(axis=0))
    return build_siamese(tower, build_head(recipe.tower.embedding))


def _pair_sampler(material: Material, alike: Embeddings) -> PairSampler:
    """Pairs of training crops; `alike` are embeddings of these (N, D), which tell who resembles whom."""
    labels, _ = material.index.labels(material.train)
    return PairSampler(labels, material.index.families(material.train), alike)


def _save(siamese: keras.Model, target: Path) -> None:
    """A fresh model of the same layers: without the optimiser's variables the file is half as large."""
    with replacing(target) as partial:
        build_siamese(siamese.get_layer("tower"), siamese.get_layer("head")).save(partial)


def _core_from(recipe: Recipe, path: Path) -> keras.Model:
    """The recipe's core with the weights of a saved model. Raises InputError if its tower has another shape."""
    keras.utils.set_random_seed(recipe.seed)  # new blocks have kernels of their own
    core = begin_core(recipe.tower, core_of(load_siamese(path).get_layer("tower")))
    if core is None:
        raise InputError(
            f"{path}: its tower has another shape than the recipe's [tower]",
            hint="copy [tower] from the recipe it was trained by: recipe.json of its run, or its model card; only "
            "blocks may be more",
        )
    return core


def _rank(figures: dict[str, float]) -> tuple[float, float]:
    """What makes one model better than another. Among few people the guide is soon at its best, and then
    the log loss decides.
    """
    return figures[GUIDE], -figures["log_loss"]


def _embed_some(part: keras.Model, crops: Crops, seed: int) -> Embeddings:
    """What a part of the network makes of SOME_CROPS seeded ones of the crops; the same on every worker."""
    rng = np.random.default_rng([seed, 0x6D65616E])
    rows = rng.choice(len(crops), min(len(crops), SOME_CROPS), replace=False)
    some = RowsOf(crops, np.sort(rows))  # in the order of the shards, should they be streamed
    return np.asarray(mean_over_workers(embed(part, some)))


def _weights_of(teacher: Path | None, recipe: Recipe) -> Path:
    """The teacher's weights. Raises InputError without a teacher that the recipe's tower can follow."""
    if teacher is None:
        raise InputError(
            "the recipe distils (metric.distill_weight > 0) but no teacher was given",
            hint="--teacher FOLDER with mobilefacenet.param and .bin; or --init models/siamese.keras to "
            "fine-tune the shipped model; or metric.distill_weight = 0 in the recipe",
        )
    if recipe.tower.core != EMBEDDING_SIZE:
        raise InputError(
            f"tower.core is {recipe.tower.core}, the teacher's embeddings have {EMBEDDING_SIZE} dimensions",
            hint=f"set tower.core = {EMBEDDING_SIZE} in the recipe, or metric.distill_weight = 0",
        )
    return teacher_weights(teacher)
