"""A run that `facelatch-train all` of version 0.1.0 made (tests/golden/v0_1/run.zip) opens with today's code."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from facelatch.adapters.models.verifier_tflite import TfliteVerifier  # noqa: E402
from facelatch_training.chain import Chain, run_all  # noqa: E402
from facelatch_training.data.made_faces import draw_person  # noqa: E402
from facelatch_training.export.origin import origin_of  # noqa: E402
from facelatch_training.files import TrainingError  # noqa: E402
from facelatch_training.fitting.material import load_material  # noqa: E402
from facelatch_training.fitting.runfolder import RunFolder  # noqa: E402
from facelatch_training.fitting.workflow import train  # noqa: E402
from facelatch_training.model.siamese import load_siamese  # noqa: E402
from facelatch_training.recipe import Recipe, recipe_hash  # noqa: E402

OLD = Path(__file__).resolve().parents[1] / "golden" / "v0_1"
FACTS: dict[str, Any] = json.loads((OLD / "facts.json").read_text(encoding="utf-8"))["run"]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    with zipfile.ZipFile(OLD / "run.zip") as archive:
        archive.extractall(tmp_path)
    return tmp_path


@pytest.fixture
def recipe(out: Path) -> Recipe:
    return Recipe.model_validate(json.loads((out / "run" / "recipe.json").read_text(encoding="utf-8"))["recipe"])


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    """The three pictures that the old code embedded: two of one drawn person, one of another."""
    return np.stack([draw_person(person, picture) for person, picture in ((0, 0), (0, 1), (1, 0))])


def test_the_recipe_is_still_one_and_has_the_hash_it_had(recipe: Recipe) -> None:
    assert recipe_hash(recipe) == FACTS["recipe_sha256"]
    assert recipe.name == "tiny"


def test_the_run_folder_is_that_of_its_recipe_with_the_figures_it_had(out: Path, recipe: Recipe) -> None:
    run = RunFolder(out / "run", recipe, FACTS["data"])
    for stage, figures in FACTS["figures"].items():
        last = run.history(stage)[-1]
        assert {name: last[name] for name in figures} == figures
    with pytest.raises(TrainingError, match="data is"):
        RunFolder(out / "run", recipe, "0" * 64)


def test_an_export_knows_where_the_old_model_came_from(out: Path, recipe: Recipe) -> None:
    origin = origin_of(out / "run" / "siamese.keras", None)
    assert (origin.recipe, origin.recipe_sha256, origin.trained_on) == (recipe, FACTS["recipe_sha256"], FACTS["data"])


def test_the_saved_network_loads_though_its_modules_moved_and_sees_the_same(out: Path, crops: np.ndarray) -> None:
    """A .keras file names the modules its layers were in; ours are found by the names they are registered under."""
    siamese = load_siamese(out / "run" / "siamese.keras")
    embeddings = np.asarray(siamese.get_layer("tower")(crops, training=False))
    np.testing.assert_allclose(embeddings, FACTS["embeddings"], atol=1e-3)
    similarity = siamese.get_layer("head")([embeddings[[0, 0]], embeddings[[1, 2]]], training=False)
    np.testing.assert_allclose(np.asarray(similarity).reshape(-1), FACTS["similarity"], atol=1e-3)


def test_the_door_s_verifier_opens_the_exported_model(out: Path, crops: np.ndarray) -> None:
    verifier = TfliteVerifier(out / "models" / "siamese.tflite")
    assert verifier.manifest.recipe_sha256 == FACTS["recipe_sha256"]
    for crop, expected in zip(crops, np.array(FACTS["embeddings"]), strict=True):
        found = verifier.embed(crop)  # int8, which float is near to
        assert found @ expected > 0.98 * np.linalg.norm(found) * np.linalg.norm(expected)


@pytest.mark.slow
def test_the_chain_goes_on_in_its_old_folder_and_the_run_has_nothing_left_to_do(out: Path, recipe: Recipe) -> None:
    """The chain finds its model and reports on it anew; the stages find that their checkpoints are the last."""
    said: list[str] = []
    findings = run_all(Chain(out, recipe=recipe), say=said.append, quiet=True)
    assert any("siamese.tflite is there already" in line for line in said)
    assert findings.manifest.recipe_sha256 == FACTS["recipe_sha256"]
    assert (out / "report.html").is_file()
    before = {file.name: file.read_bytes() for file in (out / "run").glob("*.[cn][sp][vz]")}
    old = load_siamese(out / "run" / "siamese.keras").get_weights()
    # Another OpenCV may pack the same pixels in other bytes, which is another fingerprint.
    material = dataclasses.replace(load_material(out / "crops", out / "cache"), fingerprint=FACTS["data"])
    outcome = train(material, out / "run", recipe, out / "cache")
    assert {file.name: file.read_bytes() for file in (out / "run").glob("*.[cn][sp][vz]")} == before
    for one, other in zip(old, load_siamese(outcome.model).get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert outcome.after["auc"] == pytest.approx(FACTS["figures"]["siamese"]["auc"], abs=0.01)
