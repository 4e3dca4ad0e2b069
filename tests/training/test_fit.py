"""Training: resumable at any moment, reproducible by seed, and nothing is lost when something fails."""

from __future__ import annotations

import json
import resource
import signal
from pathlib import Path

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

import keras  # noqa: E402

from facelatch.errors import InputError  # noqa: E402
from facelatch_training.dataset import RowsOf  # noqa: E402
from facelatch_training.fit import WarmStableDecay, fit_metric  # noqa: E402
from facelatch_training.made_faces import write_crop_set  # noqa: E402
from facelatch_training.metric import MetricBatches, MetricData  # noqa: E402
from facelatch_training.recipe import Recipe, recipe_hash, tiny_recipe  # noqa: E402
from facelatch_training.runfolder import RunFolder, TrainingError  # noqa: E402
from facelatch_training.workflow import Material, load_material, make_material_yardstick, train  # noqa: E402


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    folder = tmp_path_factory.mktemp("drawn")
    return load_material(write_crop_set(folder / "set"), folder / "cache")


@pytest.fixture(scope="module", autouse=True)
def deterministic() -> None:
    tf.config.experimental.enable_op_determinism()


def metric_data(material: Material) -> MetricData:
    labels, _ = material.index.labels(material.train)
    nothing = np.zeros((0, 112, 112, 3), np.uint8)
    return MetricData(RowsOf(material.crops, material.train), labels, None, nothing, None)


def short(steps: int, **changes: float) -> Recipe:
    recipe = tiny_recipe()
    metric = recipe.metric.model_copy(update={"steps": steps, "round_steps": 2, **changes})
    return recipe.model_copy(update={"metric": metric})


def run_metric(material: Material, folder: Path, recipe: Recipe, **options: int) -> keras.Model:
    run = RunFolder(folder, recipe, material.mark)
    return fit_metric(run, recipe, metric_data(material), make_material_yardstick(material), **options)


def weights(model: keras.Model) -> np.ndarray:
    return np.concatenate([np.asarray(variable).ravel() for variable in model.variables])


def test_the_stream_depends_on_the_seed_and_the_step_alone(material: Material) -> None:
    recipe = short(8)
    data = metric_data(material)
    whole = MetricBatches(data, recipe, 0, 6)
    tail = MetricBatches(data, recipe, 4, 2)
    (first, _), (second, _) = whole[4], tail[0]
    assert np.array_equal(first["image"], second["image"])
    assert np.array_equal(first["label"], second["label"])
    other = MetricBatches(data, recipe.model_copy(update={"seed": 8}), 4, 2)
    assert not np.array_equal(other[0][0]["image"], first["image"])


def test_one_pass_of_the_stream_shows_every_crop_once(material: Material) -> None:
    data = metric_data(material)
    batches = MetricBatches(data, short(8), 0, 1)
    seen = [batches.sample(position)[0] for position in range(len(data.crops))]
    assert sorted(seen) == sorted(data.labels.tolist())


def test_a_streamed_pass_visits_one_shard_after_the_other(material: Material) -> None:
    data = metric_data(material)
    shards = np.array([material.index.shards[row] == "faces-01.tar" for row in material.train]).astype(
        np.int64
    )
    streamed = MetricData(data.crops, data.labels, None, data.morphs, None, shards)
    order = MetricBatches(streamed, short(8), 0, 1)._order(0)
    assert np.count_nonzero(np.diff(shards[order])) == 1
    assert sorted(order) == list(range(len(data.crops)))


def test_the_rate_warms_up_stays_and_falls_to_zero() -> None:
    schedule = WarmStableDecay(1.0, 4, 10, 40)
    rates = [float(schedule(step)) for step in (0, 3, 20, 30, 35, 40)]
    assert rates == pytest.approx([0.25, 1.0, 1.0, 1.0, 0.5, 0.0])


@pytest.mark.slow
def test_a_run_killed_and_resumed_ends_like_an_uninterrupted_one(material: Material, tmp_path: Path) -> None:
    recipe = short(6)
    expected = weights(run_metric(material, tmp_path / "whole", recipe))

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        # The process dies after two rounds, when the second is logged but its checkpoint is not yet written.
        calls: list[int] = []
        original = RunFolder.save

        def save(self: RunFolder, stage: str, variables: list[object], state: dict[str, float]) -> None:
            calls.append(1)
            die() if len(calls) == 2 else original(self, stage, variables, state)

        patch.setattr(RunFolder, "save", save)
        with pytest.raises(Killed):
            run_metric(material, tmp_path / "cut", recipe)
    resumed = weights(run_metric(material, tmp_path / "cut", recipe))
    assert np.array_equal(resumed, expected)
    steps = [line["step"] for line in RunFolder(tmp_path / "cut", recipe, material.mark).history("metric")]
    assert steps == [2, 4, 6]


def test_the_recipe_is_in_the_run_folder_before_the_first_step(tmp_path: Path) -> None:
    recipe = short(6)
    RunFolder(tmp_path, recipe, "fingerprint")
    saved = json.loads((tmp_path / "recipe.json").read_text())
    assert saved["recipe_sha256"] == recipe_hash(recipe)
    assert saved["data"] == "fingerprint"
    assert saved["seed"] == recipe.seed
    assert Recipe.model_validate(saved["recipe"]) == recipe
    assert {"keras", "numpy", "python"} <= set(saved["versions"])


def test_a_run_folder_of_another_recipe_or_other_data_is_refused(tmp_path: Path) -> None:
    RunFolder(tmp_path, short(6), "data")
    with pytest.raises(TrainingError, match="recipe_sha256"):
        RunFolder(tmp_path, short(8), "data")
    with pytest.raises(TrainingError, match="data is"):
        RunFolder(tmp_path, short(6), "other")


@pytest.mark.slow
def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_checkpoint(
    material: Material, tmp_path: Path
) -> None:
    recipe = short(8, rate=1e30, warmup_steps=0)
    with pytest.raises(TrainingError, match="no longer a number"):
        run_metric(material, tmp_path, recipe)
    for path in tmp_path.glob("*.npz"):
        with np.load(path) as arrays:
            assert json.loads(arrays["state"].tobytes())["step"] > 0
    assert not list(tmp_path.glob("*.partial"))


def test_a_full_disk_leaves_the_previous_checkpoint_whole(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, short(6), "data")
    small = [np.arange(10.0)]
    run.save("metric", small, {"step": 1})
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        with pytest.raises(TrainingError, match="cannot write the checkpoint"):
            run.save("metric", [np.zeros(100_000)], {"step": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    variable = keras.Variable(np.zeros(10, np.float32))
    assert run.load("metric", [variable]) == {"step": 1}
    assert np.asarray(variable) == pytest.approx(small[0])
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.slow
def test_the_metric_stage_can_be_told_to_finish_early(material: Material, tmp_path: Path) -> None:
    recipe = short(100)
    run = RunFolder(tmp_path, recipe, material.mark)
    run_metric(material, tmp_path, recipe, finish_in=4)
    run_metric(material, tmp_path, recipe, finish_in=4)  # the same command again has nothing left to do
    assert [line["step"] for line in run.history("metric")] == [2, 4]
    assert (tmp_path / "metric-stable.npz").is_file()


def test_distillation_without_a_teacher_says_what_to_do(material: Material, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no teacher") as caught:
        train(material, tmp_path / "run", short(2, distill_weight=1.0), tmp_path / "cache")
    assert "--teacher" in caught.value.hint


@pytest.mark.slow
def test_a_tiny_run_learns_and_fine_tuning_never_replaces_a_better_model(
    material: Material, tmp_path: Path
) -> None:
    recipe = tiny_recipe()
    outcome = train(material, tmp_path / "run", recipe, tmp_path / "cache")
    lines = RunFolder(tmp_path / "run", recipe, material.mark).history("metric")
    assert lines[-1]["loss"] < 0.7 * lines[0]["loss"]
    assert outcome.after["auc"] > 0.7
    assert (tmp_path / "run/metric.png").is_file()
    assert (tmp_path / "run/siamese.png").is_file()

    idle = recipe.model_copy(
        update={"siamese": recipe.siamese.model_copy(update={"rate": 1e-12, "steps": 2})}
    )
    with pytest.raises(TrainingError, match="was not written"):
        train(material, tmp_path / "tuned", idle, tmp_path / "cache", initial=outcome.model)
    assert not (tmp_path / "tuned/siamese.keras").exists()
