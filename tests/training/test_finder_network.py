"""The face finder's network: its budget, and a whole small run from pictures to the exported file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from facelatch.errors import InputError
from facelatch.vision.finder_decode import cells
from facelatch_training.finder.data.prepare import Prepared, compose_all, load
from facelatch_training.finder.recipe import Recipe, refuse_other_data

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")

from training_doubles import REPO, finder_recipe, ramp  # noqa: E402

from facelatch.adapters.models.finder_tflite import TfliteFinder  # noqa: E402
from facelatch_training.finder.data.batches import Batches  # noqa: E402
from facelatch_training.finder.data.patches import Patches, compose_patches  # noqa: E402
from facelatch_training.finder.data.scenes import Stock  # noqa: E402
from facelatch_training.finder.model.export import export  # noqa: E402
from facelatch_training.finder.model.fit import (  # noqa: E402
    FINAL,
    REFINER_FINAL,
    REFINER_FOLDER,
    fit,
    fit_refiner,
)
from facelatch_training.finder.model.losses import FinderLoss, landmark_loss  # noqa: E402
from facelatch_training.finder.model.network import build_network, multiply_adds  # noqa: E402
from facelatch_training.finder.model.refiner import build_refiner  # noqa: E402
from facelatch_training.finder.model.runs import LAST, averaged, refuse_other_recipe  # noqa: E402


def small_recipe(epochs: int = 2) -> Recipe:
    recipe = finder_recipe()
    return recipe.model_copy(
        update={
            part: getattr(recipe, part).model_copy(update={"epochs": epochs, "batch": 4})
            for part in ("fit", "refine")
        },
    )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    from facelatch_training.finder.data.faces import Photo

    rng = np.random.default_rng(0)
    face = np.array([[18, 10, 76, 96, 38, 52, 74, 52, 56, 72, 42, 92, 71, 92]], np.float32)
    none = np.zeros((0, 4), np.float32)
    sprites = [
        Photo(
            name=str(n),
            image=rng.integers(0, 256, (112, 112, 3)).astype(np.uint8),
            faces=face,
            ignore=none,
        )
        for n in range(3)
    ]
    empty = [rng.integers(0, 256, (120, 160, 3)).astype(np.uint8)]
    folder = tmp_path_factory.mktemp("prepared")
    compose_all(Stock([], sprites, empty), small_recipe(), 12, folder)
    return load(folder, small_recipe())


@pytest.fixture(scope="module")
def patches(tmp_path_factory: pytest.TempPathFactory) -> Patches:
    from facelatch_training.finder.data.faces import Photo

    face = np.array([[48, 40, 76, 96, 68, 82, 104, 82, 86, 102, 72, 122, 101, 122]], np.float32)
    image = np.random.default_rng(1).integers(0, 256, (172, 172, 3)).astype(np.uint8)
    photo = Photo(name="p", image=image, faces=face, ignore=np.zeros((0, 4), np.float32))
    return compose_patches([photo], [], small_recipe(), 12, tmp_path_factory.mktemp("patches"))


@pytest.fixture(scope="module")
def uncut(prepared, built_once) -> list[np.ndarray]:
    """The weights that a run of three epochs ends with."""

    def run(folder: Path) -> None:
        np.savez(folder / "weights.npz", *fit(small_recipe(epochs=3), prepared, folder).get_weights())

    with np.load(built_once("finder-run", run) / "weights.npz") as weights:
        return [weights[name] for name in weights.files]


def test_the_refining_network_is_small_and_starts_from_the_template():
    model = build_refiner()
    assert model.output_shape == (None, 10)
    assert model.count_params() < 40_000
    assert multiply_adds(model) < 3e6
    assert not np.asarray(model(np.full((1, 56, 56, 3), 90, np.float32))).any()


def test_the_landmark_loss_is_the_landmark_error_as_reported():
    truth, answer = np.zeros((1, 11), np.float32), np.zeros((1, 10), np.float32)
    truth[0, 10] = 8 / 40  # an eye distance of 40 px
    answer[0, 0] = 1.0  # one landmark of five is 8 px off
    assert float(landmark_loss(truth, answer)[0]) == pytest.approx(8 / 40 / 5, abs=0.01)


def test_the_network_keeps_its_budget_and_its_cells_are_the_decoders():
    for (width, height), budget in (((320, 240), 60e6), ((160, 120), 15.1e6)):
        model = build_network(width, height)
        assert model.output_shape == (None, len(cells(width, height)[0]), 15)
        assert model.count_params() < 200_000
        assert multiply_adds(model) < budget


def test_both_input_sizes_see_the_same_in_the_same_place():
    """A picture in the corner of a larger one gives the same numbers far from the seam."""
    keras.utils.set_random_seed(1)
    large, small = build_network(320, 240), build_network(160, 120)
    for layer in small.layers:
        if layer.weights:
            layer.set_weights(large.get_layer(layer.name).get_weights())
    rng = np.random.default_rng(0)
    image = np.zeros((1, 240, 320, 3), np.float32)
    image[:, :120, :160] = rng.uniform(0, 255, (1, 120, 160, 3))
    wide = np.asarray(large(image))[0, :1200].reshape(30, 40, 15)[:4, :6]
    near = np.asarray(small(image[:, :120, :160]))[0, :300].reshape(15, 20, 15)[:4, :6]
    np.testing.assert_allclose(wide, near, atol=1e-3)


def test_the_loss_is_zero_for_perfect_answers_and_grows_with_each_kind_of_error():
    truth = np.zeros((1, 3, 17), np.float32)
    truth[0, 0] = [1, 1, 0.2, 0.1, 0.2, 0.3, 0.4, *range(10)]
    truth[0, 2, 0] = -1
    perfect = np.zeros((1, 3, 15), np.float32)
    perfect[0, 0] = [30, *truth[0, 0, 3:]]
    perfect[0, 1:, 0] = -30
    loss = FinderLoss(1.0, 4.0)
    assert float(loss(truth, perfect)) < 1e-3
    for place, change in (((0, 0, 0), -60), ((0, 1, 0), 60), ((0, 0, 1), 1), ((0, 0, 3), 1), ((0, 0, 9), 1)):
        worse = perfect.copy()
        worse[place] += change
        assert float(loss(truth, worse)) > 0.05
    unasked = perfect.copy()
    unasked[0, 2] = 40
    assert float(loss(truth, unasked)) < 1e-3


def test_a_batch_depends_on_seed_epoch_and_index_only(prepared):
    recipe = small_recipe()
    first, again = (Batches(prepared, recipe, vary=True) for _ in range(2))
    np.testing.assert_array_equal(first[1][0], again[1][0])
    np.testing.assert_array_equal(first[1][1], again[1][1])
    first.on_epoch_end()
    later = Batches(prepared, recipe, vary=True, first_epoch=1)
    np.testing.assert_array_equal(first[0][0], later[0][0])
    assert not np.array_equal(first[0][0], again[0][0])


class PowerCutError(Exception):
    pass


@contextmanager
def power_cut_at(function: str) -> Iterator[None]:
    """The run inside ends when it first calls this function of `runs`."""

    def cut(*_: object) -> None:
        raise PowerCutError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"facelatch_training.finder.model.runs.{function}", cut)
        with pytest.raises(PowerCutError):
            yield


@pytest.mark.slow
def test_a_run_from_pictures_to_the_exported_file_can_be_cut_off_and_resumed(prepared, patches, tmp_path):
    recipe, run = small_recipe(epochs=3), tmp_path / "run"

    with power_cut_at("_plot"):  # the last thing after the first epoch
        fit(recipe, prepared, run)
    assert json.loads((run / "run.json").read_text())["recipe_sha256"] == recipe.sha256
    assert (run / LAST).is_file()
    assert not (run / FINAL).exists()
    assert averaged(run, FINAL).count_params() > 0
    model = fit(recipe, prepared, run, check=prepared)
    assert [int(r.split(",")[0]) for r in (run / "history.csv").read_text().split()[1:]] == [1, 2, 3]
    assert (run / "curves.png").stat().st_size > 1000
    with pytest.raises(InputError, match="another recipe"):
        fit(small_recipe(epochs=4), prepared, run)

    refiner = fit_refiner(recipe, patches, run / REFINER_FOLDER, check=patches)
    assert (run / REFINER_FOLDER / REFINER_FINAL).is_file()
    path = export(model, refiner, recipe, prepared, patches, tmp_path / "models", commit="test")
    assert path.stat().st_size < 250_000
    finder = TfliteFinder(path, 0.01)
    picture = np.array(prepared.images[0][:240, :320])
    faces = finder.find(picture)
    assert all(np.isfinite(face.landmarks).all() for face in faces)
    _same_numbers(model, path, picture)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["_history", "_plot"])
def test_a_run_that_was_cut_off_ends_as_if_it_had_not_been(prepared, tmp_path, uncut, place):
    """After the first epoch's weights were saved, or after its figures were, too."""
    recipe = small_recipe(epochs=3)

    with power_cut_at(place):
        fit(recipe, prepared, tmp_path / "cut")
    resumed = fit(recipe, prepared, tmp_path / "cut")
    for one, other in zip(uncut, resumed.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_data_of_another_recipe_are_refused_but_not_of_another_pace(tmp_path):
    recipe = small_recipe()
    about = {"data_sha256": recipe.data_sha256}
    refuse_other_data(tmp_path, about, small_recipe(epochs=9))
    for other in (
        recipe.model_copy(update={"seed": 99}),
        recipe.model_copy(update={"data": recipe.data.model_copy(update={"validation_share": 0.5})}),
        recipe.model_copy(update={"refine": recipe.refine.model_copy(update={"roughness": 0.5})}),
    ):
        with pytest.raises(InputError, match="another recipe"):
            refuse_other_data(tmp_path, about, other)


def test_a_run_of_another_recipe_is_not_exported(tmp_path):
    recipe = small_recipe()
    with pytest.raises(InputError, match=r"run\.json: no such file"):
        refuse_other_recipe(tmp_path, recipe)
    (tmp_path / "run.json").write_text(json.dumps({"recipe_sha256": recipe.sha256}))
    refuse_other_recipe(tmp_path, recipe)
    with pytest.raises(InputError, match="another recipe"):
        refuse_other_recipe(tmp_path, small_recipe(epochs=9))


def test_a_start_that_is_no_finder_is_named_and_the_run_not_begun(prepared, tmp_path):
    text, refiner = tmp_path / "text.keras", REPO / "models" / "refiner.keras"
    text.write_text("no model")
    for start, words in ((text, "not a saved Keras model"), (refiner, "another network")):
        with pytest.raises(InputError, match=words) as refusal:
            fit(small_recipe(epochs=1), prepared, tmp_path / "run", start=start)
        assert str(start) in str(refusal.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("finder.keras", (240, 320, 3), [-4.01604, 0.04941, -0.31343, -0.48632]),
        ("refiner.keras", (56, 56, 3), [0.75616, -0.09598, -0.90322, -0.25708]),
    ],
)
def test_the_shipped_network_loads_and_computes_what_it_always_did(name, shape, expected):
    """Whatever module its classes were in when it was saved: it is loaded by their registered names."""
    model = keras.saving.load_model(REPO / "models" / name, compile=False)
    outputs = np.asarray(model(ramp(*shape)[None].astype(np.float32)))
    assert outputs.reshape(-1)[:4] == pytest.approx(expected, abs=2e-3)


def _same_numbers(model, path: Path, picture: np.ndarray) -> None:
    """The int8 file says about what the float network says."""
    from ai_edge_litert.interpreter import Interpreter

    raw = Interpreter(str(path)).get_signature_runner("find_320x240")(image=picture[None])
    floats = np.asarray(model(picture[None].astype(np.float32)))[0]
    for name, span in (("score", slice(0, 1)), ("box", slice(1, 5)), ("landmarks", slice(5, 15))):
        error = np.abs(raw[name][0] - floats[:, span])
        assert np.median(error) < 0.1 * max(float(np.ptp(floats[:, span])), 0.1)
