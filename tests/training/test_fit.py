"""Training: resumable at any moment, reproducible by seed, and nothing is lost when something fails."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

import keras  # noqa: E402

from facelatch.errors import InputError, ModelError  # noqa: E402
from facelatch.vision.align import ALIGN_VERSION  # noqa: E402
from facelatch_training.batches.samples import MetricData, Samples  # noqa: E402
from facelatch_training.data.crops import RowsOf  # noqa: E402
from facelatch_training.data.made_faces import write_crop_set  # noqa: E402
from facelatch_training.files import TrainingError  # noqa: E402
from facelatch_training.fitting import fit, workflow  # noqa: E402
from facelatch_training.fitting.distributed import Batches, fit_round, forget_step  # noqa: E402
from facelatch_training.fitting.fit import fit_metric  # noqa: E402
from facelatch_training.fitting.material import Material, load_material, make_material_yardstick  # noqa: E402
from facelatch_training.fitting.metric import MetricBatches  # noqa: E402
from facelatch_training.fitting.runfolder import RunFolder, learning_curves  # noqa: E402
from facelatch_training.fitting.stage import GUIDE, WarmStableDecay  # noqa: E402
from facelatch_training.fitting.workflow import train  # noqa: E402
from facelatch_training.model.siamese import build_head, build_siamese, load_siamese  # noqa: E402
from facelatch_training.model.tower import build_core, widen_tower  # noqa: E402
from facelatch_training.recipe import Recipe, recipe_hash, tiny_recipe  # noqa: E402


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
    return MetricData(
        crops=RowsOf(material.crops, material.train),
        labels=labels,
        teacher=None,
        morphs=nothing,
        morph_teacher=None,
    )


def short(steps: int, **changes: float) -> Recipe:
    """A metric stage in rounds of two, for the smallest tower that has every part."""
    recipe = tiny_recipe()
    metric = recipe.metric.model_copy(update={"steps": steps, "round_steps": 2, **changes})
    tower = recipe.tower.model_copy(update={"widths": (8,), "blocks": (1,), "head": 0})
    return recipe.model_copy(update={"metric": metric, "tower": tower})


def run_metric(material: Material, folder: Path, recipe: Recipe, **options: int) -> keras.Model:
    run = RunFolder(folder, recipe, material.fingerprint)
    return fit_metric(run, recipe, metric_data(material), make_material_yardstick(material), **options)


def weights(model: keras.Model) -> np.ndarray:
    return np.concatenate([np.asarray(variable).ravel() for variable in model.variables])


def small(**siamese: float) -> Recipe:
    """Both stages in two rounds of five batches: enough for their order to matter."""
    recipe = short(10, round_steps=5, warmup_steps=2, decay_steps=5)
    stage = recipe.siamese.model_copy(update={"steps": 10, "round_steps": 5, **siamese})
    return recipe.model_copy(update={"siamese": stage})


@pytest.fixture(scope="module")
def finished(material: Material, built_once: Callable[..., Path]) -> Path:
    """The folder of a small run that nothing interrupted; tests copy it before they write there."""
    return built_once("finished-run", lambda folder: train(material, folder, small(), folder / "cache"))


class Killed(BaseException):
    pass


@contextmanager
def dying(stage: str, save_number: int) -> Iterator[None]:
    """The process is to die when a round is logged but its checkpoint not yet written."""
    original, calls = RunFolder.save, []

    def save(self: RunFolder, name: str, variables: list[object], state: dict[str, float]) -> None:
        calls.append(name)
        if calls.count(stage) == save_number:
            raise Killed
        original(self, name, variables, state)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "save", save)
        yield


@contextmanager
def almost_no_space(room: int = 64) -> Iterator[None]:
    """No file can grow beyond `room` bytes, as on a full disk."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_batches_go_on_where_those_of_the_round_before_ended(material: Material) -> None:
    recipe = short(8)
    make = Samples(metric_data(material), recipe).make
    (first, _), (second, _) = MetricBatches(make, recipe, 0, 6)[4], MetricBatches(make, recipe, 4, 2)[0]
    assert np.array_equal(first["image"], second["image"])
    assert np.array_equal(first["label"], second["label"])


def test_the_rate_warms_up_stays_and_falls_to_zero() -> None:
    schedule = WarmStableDecay(1.0, 4, 10, 40)
    rates = [float(schedule(step)) for step in (0, 3, 20, 30, 35, 40)]
    assert rates == pytest.approx([0.25, 1.0, 1.0, 1.0, 0.5, 0.0])


@pytest.mark.slow
def test_a_run_killed_in_both_stages_ends_like_an_uninterrupted_one(
    material: Material, tmp_path: Path, finished: Path
) -> None:
    """Exactly: same batches in the same order, and operations that add in a fixed order (`deterministic`)."""
    folder = tmp_path / "cut"
    for stage in ("metric", "siamese"):
        with pytest.raises(Killed), dying(stage, 2):
            train(material, folder, small(), tmp_path / "cache")
        steps = [line["step"] for line in RunFolder(folder, small(), material.fingerprint).history(stage)]
        assert steps == [5, 10]
    outcome = train(material, folder, small(), tmp_path / "cache")
    assert np.array_equal(
        weights(load_siamese(outcome.model)), weights(load_siamese(finished / "siamese.keras"))
    )
    for stage in ("metric", "siamese"):
        steps = [line["step"] for line in RunFolder(folder, small(), material.fingerprint).history(stage)]
        assert steps == [5, 10]


@pytest.mark.slow
def test_a_run_that_is_really_killed_leaves_nothing_broken_behind(tmp_path: Path) -> None:
    """By a signal nobody can handle, at whatever moment it comes after the first checkpoint."""
    data, recipe = write_crop_set(tmp_path / "set"), tmp_path / "training.toml"
    recipe.write_text(
        """
name = "tiny"
tower = {stem = 8, widths = [8], blocks = [1], head = 0, core = 16, embedding = 32}
metric = {batch = 16, steps = 12, round_steps = 2, decay_steps = 4, distill_weight = 0, morphs = 0, optimizer = "adamw"}
siamese = {batch = 16, steps = 2, round_steps = 2}
"""
    )
    repo = Path(__file__).resolve().parents[2]
    paths = os.pathsep.join(str(repo / folder) for folder in ("daemon", "training"))
    command = [sys.executable, "-m", "facelatch_training.cli.root", "fit", str(data)]
    command += ["--run", str(tmp_path / "run"), "--recipe", str(recipe)]
    environment = {**os.environ, "PYTHONPATH": paths}
    first = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not (tmp_path / "run" / "metric.npz").is_file() and first.poll() is None:
            time.sleep(0.05)
    finally:
        first.kill()
    assert first.wait() == -signal.SIGKILL
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr[-2000:]
    assert "judged on 8 people" in again.stdout
    lines = (tmp_path / "run" / "metric.csv").read_text().splitlines()
    assert [int(line.split(",")[0]) for line in lines[1:]] == [2, 4, 6, 8, 10, 12]


@pytest.mark.slow
def test_another_seed_makes_another_model(material: Material, tmp_path: Path, finished: Path) -> None:
    """That the same seed makes the same one is what the test above compares."""
    outcome = train(material, tmp_path / "run", small().model_copy(update={"seed": 8}), tmp_path / "cache")
    one, other = weights(load_siamese(outcome.model)), weights(load_siamese(finished / "siamese.keras"))
    assert np.abs(one - other).max() > 1e-3


@pytest.mark.slow
def test_a_metric_stage_that_goes_further_is_not_undone_by_an_old_siamese_checkpoint(
    material: Material, tmp_path: Path, finished: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    train(material, folder, small(), tmp_path / "cache")  # nothing left to do
    before = weights(load_siamese(folder / "siamese.keras"))
    assert np.array_equal(before, weights(load_siamese(finished / "siamese.keras")))
    train(material, folder, small(), tmp_path / "cache", finish_in=5)
    assert not np.array_equal(weights(load_siamese(folder / "siamese.keras")), before)
    run = RunFolder(folder, small(), material.fingerprint)
    assert [line["step"] for line in run.history("metric")] == [5, 10, 15]
    assert json.loads((folder / "recipe.json").read_text())["finish_in"] == 5


@pytest.mark.slow
def test_fine_tuning_in_the_folder_of_another_run_is_refused(
    material: Material, tmp_path: Path, finished: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    with pytest.raises(TrainingError, match="initial is None") as caught:
        train(material, folder, small(), tmp_path / "cache", initial=finished / "siamese.keras")
    assert "another run folder" in caught.value.hint


def test_the_recipe_is_in_the_run_folder_before_the_first_step(tmp_path: Path) -> None:
    recipe = short(6)
    RunFolder(tmp_path, recipe, "fingerprint")
    saved = json.loads((tmp_path / "recipe.json").read_text())
    assert saved["recipe_sha256"] == recipe_hash(recipe)
    assert saved["data"] == "fingerprint"
    assert saved["seed"] == recipe.seed
    assert Recipe.model_validate(saved["recipe"]) == recipe
    assert {"keras", "numpy", "python"} <= set(saved["versions"])
    assert saved["align_version"] == ALIGN_VERSION
    assert saved["initial"] is None
    assert saved["start_from"] is None


@pytest.mark.parametrize("kind", ["text", "another network"])
def test_a_file_that_is_no_siamese_model_does_not_begin_a_run(
    material: Material, tmp_path: Path, kind: str
) -> None:
    wrong = tmp_path / "wrong.keras"
    if kind == "text":
        wrong.write_text("no model")
    else:
        shutil.copy(Path(__file__).resolve().parents[2] / "models" / "finder.keras", wrong)
    with pytest.raises(ModelError, match=r"not a saved Keras model|it has no tower and head") as caught:
        train(material, tmp_path / "run", small(), tmp_path / "cache", initial=wrong)
    assert len(str(caught.value)) < 200 + len(str(wrong))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("key", ["initial", "start_from", "teacher"])
def test_what_a_run_began_with_is_kept_and_goes_by_its_content(tmp_path: Path, key: str) -> None:
    model, moved, other = (tmp_path / name for name in ("a.keras", "b.keras", "c.keras"))
    model.write_bytes(b"one")
    moved.write_bytes(b"one")
    other.write_bytes(b"two")
    RunFolder(tmp_path / "run", short(6), "data", **{key: model})
    saved = json.loads((tmp_path / "run" / "recipe.json").read_text())[key]
    assert saved["file"] == "a.keras"
    assert len(saved["sha256"]) == 64
    RunFolder(tmp_path / "run", short(6), "data", **{key: moved})
    for wrong in (other, None):
        with pytest.raises(TrainingError, match=f"{key} is"):
            RunFolder(tmp_path / "run", short(6), "data", **{key: wrong})


def test_a_run_folder_of_another_alignment_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    RunFolder(tmp_path, short(6), "data")
    monkeypatch.setattr("facelatch_training.fitting.runfolder.ALIGN_VERSION", ALIGN_VERSION + 1)
    with pytest.raises(TrainingError, match="align_version is"):
        RunFolder(tmp_path, short(6), "data")


def test_a_run_folder_from_before_these_were_kept_goes_on(tmp_path: Path) -> None:
    RunFolder(tmp_path, short(6), "data")
    path = tmp_path / "recipe.json"
    saved = json.loads(path.read_text())
    path.write_text(json.dumps({key: saved[key] for key in ("recipe_sha256", "data", "seed", "recipe")}))
    RunFolder(tmp_path, short(6), "data", start_from=path)


def test_a_run_folder_of_another_recipe_or_other_data_is_refused(tmp_path: Path) -> None:
    RunFolder(tmp_path, short(6), "data")
    with pytest.raises(TrainingError, match="recipe_sha256"):
        RunFolder(tmp_path, short(8), "data")
    with pytest.raises(TrainingError, match="data is"):
        RunFolder(tmp_path, short(6), "other")


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_checkpoint(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints: list[bytes] = []

    def fake_round(*_: object) -> dict[str, float]:
        if not (tmp_path / "metric.npz").is_file():
            return {"loss": 1.0}
        checkpoints.append((tmp_path / "metric.npz").read_bytes())
        return {"loss": float("nan")}

    monkeypatch.setattr("facelatch_training.fitting.stage.fit_round", fake_round)
    with pytest.raises(TrainingError, match="no longer a number in the round after step 2"):
        run_metric(material, tmp_path, short(8))
    assert checkpoints == [(tmp_path / "metric.npz").read_bytes()]
    with np.load(tmp_path / "metric.npz") as arrays:
        assert json.loads(arrays["state"].tobytes())["step"] == 2
    assert not list(tmp_path.glob("partial-*"))


def test_a_stage_out_of_patience_lets_its_rate_fall_to_zero(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = short(1000, patience=1, validate_rounds=1, decay_steps=4, warmup_steps=0, rate=1.0)
    rates: list[float] = []

    def fake_round(model: keras.Model, batches: MetricBatches, _: object) -> dict[str, float]:
        rates.append(float(model.optimizer.learning_rate))
        model.optimizer.iterations.assign_add(len(batches))
        return {"loss": 1.0}

    monkeypatch.setattr("facelatch_training.fitting.stage.fit_round", fake_round)
    monkeypatch.setattr(RunFolder, "draw", lambda *_: None)
    # The figures never change: enough after the second look.
    monkeypatch.setattr(fit, "embed", lambda _, crops: np.ones((len(crops), 16), np.float32))
    run_metric(material, tmp_path, recipe)
    assert rates == [1.0, 1.0, 1.0, 0.5]


class SameBatch(Batches):
    def batch(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        return np.ones((4, 2), np.float32), np.ones((4, 1), np.float32)


def smallest() -> keras.Model:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def test_a_clear_error_in_a_batch_comes_out_as_it_is() -> None:
    class Faulty(SameBatch):
        def batch(self, number: int) -> tuple[np.ndarray, np.ndarray]:
            if number == 1:
                raise InputError("shard 7: not a whole tar file")
            return super().batch(number)

    with pytest.raises(InputError, match="shard 7"):
        fit_round(smallest(), Faulty(3), keras.callbacks.Callback())


def test_a_new_rate_reaches_a_step_that_is_compiled_already() -> None:
    model = smallest()
    states = [weights(model)]
    for rate in (0.1, 0.0):
        model.optimizer.learning_rate = WarmStableDecay(rate, 0, 0, 100)
        forget_step(model)
        fit_round(model, SameBatch(1), keras.callbacks.Callback())
        states.append(weights(model))
    assert not np.array_equal(states[0], states[1])
    assert np.array_equal(states[1], states[2])


def test_learning_curves_name_their_axes_and_one_point_is_no_empty_frame() -> None:
    lines = [{"step": 1.0, "loss": 2.0, "tar": 0.5}, {"step": 2.0, "loss": 1.0, "seconds": 3.0}]
    loss, tar = learning_curves("metric", lines).axes
    assert (loss.get_xlabel(), loss.get_ylabel(), loss.get_title()) == ("steps of the metric stage", "loss", "loss")
    assert tar.get_title() == "tar: 0.5, measured once"
    assert tar.lines[0].get_marker() == "o"


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("recipe.json", lambda run: run.note("finish_in", 4)),
        ("metric.npz", lambda run: run.save("metric", [np.zeros(100)], {"step": 2})),
        ("metric.csv", lambda run: run.log("metric", {"step": 9.0, "loss": 0.5, "another_column": 1.0})),
        ("metric.png", lambda run: run.draw("metric")),
    ],
)
def test_a_full_disk_leaves_every_file_of_a_run_as_it_was(
    tmp_path: Path, name: str, write: Callable[[RunFolder], None]
) -> None:
    run = RunFolder(tmp_path, short(6), "data")
    run.save("metric", [np.arange(10.0)], {"step": 1})
    for step in range(1, 9):
        run.log("metric", {"step": step, "loss": 1.0})
    run.draw("metric")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with almost_no_space(), pytest.raises(TrainingError, match=f"{name}: cannot be written"):
        write(run)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.slow
def test_a_full_disk_at_the_very_end_costs_nothing_but_the_model_s_file(
    material: Material, tmp_path: Path, finished: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    (folder / "siamese.keras").unlink()
    with almost_no_space(20_000), pytest.raises(TrainingError, match=r"siamese\.keras: cannot be written"):
        train(material, folder, small(), finished / "cache")
    assert not list(folder.glob("*.keras"))
    outcome = train(material, folder, small(), finished / "cache")
    assert np.array_equal(
        weights(load_siamese(outcome.model)), weights(load_siamese(finished / "siamese.keras"))
    )


@pytest.mark.slow
def test_the_metric_stage_can_be_told_to_finish_early(material: Material, tmp_path: Path) -> None:
    recipe = short(100)
    run = RunFolder(tmp_path, recipe, material.fingerprint)
    run_metric(material, tmp_path, recipe, finish_in=4)
    run_metric(material, tmp_path, recipe, finish_in=4)  # the same command again has nothing left to do
    assert [line["step"] for line in run.history("metric")] == [2, 4]
    assert (tmp_path / "metric-stable.npz").is_file()


def test_going_on_from_a_tower_of_another_shape_is_refused_before_anything_is_written(
    material: Material, tmp_path: Path
) -> None:
    recipe = short(2)
    other = build_core(recipe.tower.model_copy(update={"widths": (9,)}))
    size = recipe.tower.embedding
    build_siamese(widen_tower(other, size), build_head(size)).save(tmp_path / "other.keras")
    with pytest.raises(InputError, match=r"other\.keras: its tower has another shape") as caught:
        train(material, tmp_path / "run", recipe, tmp_path, start_from=tmp_path / "other.keras")
    assert "[tower]" in str(caught.value.hint)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_stage_in_half_the_bits_gives_a_model_that_computes_in_all_of_them(
    material: Material, tmp_path: Path
) -> None:
    coarse = run_metric(material, tmp_path / "coarse", short(2, precision="mixed_bfloat16"))
    fine = run_metric(material, tmp_path / "fine", short(2))
    assert {layer.compute_dtype for layer in coarse.layers} == {"float32"}
    assert not np.array_equal(weights(coarse), weights(fine))
    assert np.corrcoef(weights(coarse), weights(fine))[0, 1] > 0.99


def test_decoded_faces_are_not_kept_in_a_checkout(material: Material, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    with pytest.raises(InputError, match="git checkout"):
        load_material(material.index.folder, tmp_path / "models" / "cache")
    assert not (tmp_path / "models").exists()


def test_distillation_without_a_teacher_says_what_to_do(material: Material, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no teacher") as caught:
        train(material, tmp_path / "run", short(2, distill_weight=1.0), tmp_path / "cache")
    for way_out in ("--teacher FOLDER", "--init models/siamese.keras", "distill_weight = 0"):
        assert way_out in caught.value.hint


@pytest.mark.slow
def test_fine_tuning_that_helps_is_kept_and_says_what_it_was_judged_on(
    material: Material, tmp_path: Path
) -> None:
    recipe = small(rate=0.02, tower_rate=0.5, steps=40, round_steps=40)
    keras.utils.set_random_seed(0)
    tower = widen_tower(build_core(recipe.tower), recipe.tower.embedding)
    build_siamese(tower, build_head(recipe.tower.embedding)).save(tmp_path / "untrained.keras")
    outcome = train(
        material, tmp_path / "run", recipe, tmp_path / "cache", initial=tmp_path / "untrained.keras"
    )
    assert outcome.before is not None
    assert (outcome.after[GUIDE], -outcome.after["log_loss"]) > (
        outcome.before[GUIDE],
        -outcome.before["log_loss"],
    )
    assert outcome.model.is_file()
    assert outcome.judged_on == "8 people, 48 genuine and 448 impostor pairs of 32 pictures"


@pytest.mark.slow
def test_a_finished_model_s_embeddings_have_lengths_and_fine_tuning_keeps_what_they_go_by(
    material: Material, tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = np.stack([material.crops[row] for row in range(40)])

    def lengths(model: Path) -> list[np.ndarray]:
        tower = load_siamese(model).get_layer("tower")
        norms = np.linalg.norm(np.asarray(tower(some, training=False)), axis=1)
        assert norms.std() > 0.01
        return [weights for name in ("kinds", "length") for weights in tower.get_layer(name).get_weights()]

    before = lengths(finished / "siamese.keras")
    assert [weights.shape for weights in before] == [(tiny_recipe().tower.core, 32), (2, 1), (1,)]
    ranks = iter((2, 1))
    monkeypatch.setattr(workflow, "_rank", lambda _figures: next(ranks))  # the tuned one is better, say
    train(material, tmp_path / "tuned", small(), tmp_path / "cache", initial=finished / "siamese.keras")
    for kept, after in zip(before, lengths(tmp_path / "tuned/siamese.keras"), strict=True):
        np.testing.assert_array_equal(after, kept)


def test_of_two_models_with_the_same_guide_the_lower_log_loss_is_the_better() -> None:
    """Among few people the guide is saturated before."""
    best, surer = {GUIDE: 1.0, "log_loss": 0.2}, {GUIDE: 1.0, "log_loss": 0.1}
    assert workflow._rank(surer) > workflow._rank(best) > workflow._rank({GUIDE: 0.9, "log_loss": 0.0})


@pytest.mark.slow
def test_a_tiny_run_learns_and_fine_tuning_never_replaces_a_better_model(
    material: Material, tmp_path: Path
) -> None:
    recipe = tiny_recipe()
    outcome = train(material, tmp_path / "run", recipe, tmp_path / "cache")
    lines = RunFolder(tmp_path / "run", recipe, material.fingerprint).history("metric")
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
