"""The exported file: one int8 tower under three signatures, the same in Keras and in both runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("ai_edge_quantizer")
pytest.importorskip("tflite_runtime")

import keras

from facelatch.adapters.verifier_tflite import TfliteVerifier
from facelatch.errors import ModelError
from facelatch.manifest import load_manifest
from facelatch_training import export as exporter
from facelatch_training.fit import embed
from facelatch_training.made_faces import draw_person
from facelatch_training.network import build_core, build_head, build_siamese, widen_tower
from facelatch_training.recipe import tiny_recipe
from facelatch_training.validation import Yardstick, make_yardstick

MODELS = Path(__file__).resolve().parents[2] / "models"
ABOUT: dict[str, Any] = {"data": "drawn people", "recipe_sha256": "0" * 64, "opens_doors": False}
PEOPLE, PICTURES = 12, 4


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    return np.stack([draw_person(who, when) for who in range(PEOPLE) for when in range(PICTURES)])


@pytest.fixture(scope="module")
def yardstick(crops: np.ndarray) -> Yardstick:
    labels = np.repeat(np.arange(PEOPLE), PICTURES)
    return make_yardstick(crops, labels, labels, None)


@pytest.fixture(scope="module")
def siamese() -> keras.Model:
    keras.utils.set_random_seed(3)
    recipe = tiny_recipe().tower
    tower = widen_tower(build_core(recipe), recipe.embedding)
    return build_siamese(tower, build_head(recipe.embedding))


@pytest.mark.slow
def test_export_gives_a_file_that_both_runtimes_and_keras_agree_on(
    siamese: keras.Model,
    crops: np.ndarray,
    yardstick: Yardstick,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = tmp_path / "siamese.tflite"
    monkeypatch.setattr(exporter, "MAX_LOSS", 0.05)  # an untrained network has no accuracy to keep
    parity = exporter.export(siamese, crops, yardstick, target, ABOUT, seed=1)
    assert parity.cosine > 0.98
    assert set(parity.runtimes) == {"ai-edge-litert", "tflite-runtime"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["siamese.json", "siamese.tflite"]
    manifest = load_manifest(target)
    assert not manifest.opens_doors
    verifier = TfliteVerifier(target)
    probe, gallery = verifier.embed(crops[0]), np.stack([verifier.embed(crop) for crop in crops[:5]])
    similarities = verifier.compare(probe, gallery)
    head = siamese.get_layer("head")
    expected = np.asarray(head([probe[None], gallery], training=False)).ravel()
    assert similarities == pytest.approx(expected, abs=1e-4)
    assert verifier.verify(crops[0], crops[1]) == pytest.approx(float(similarities[1]), abs=0.02)


@pytest.mark.slow
def test_export_refuses_a_file_that_lost_accuracy_and_writes_nothing(
    siamese: keras.Model,
    crops: np.ndarray,
    yardstick: Yardstick,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exporter, "MAX_LOSS", -1.0)
    with pytest.raises(ModelError, match="int8 loses"):
        exporter.export(siamese, crops, yardstick, tmp_path / "siamese.tflite", ABOUT, seed=1)
    assert not list(tmp_path.iterdir())


def test_the_shipped_files_are_small_enough() -> None:
    assert (MODELS / "siamese.tflite").stat().st_size < 2_500_000
    if (MODELS / "siamese.keras").exists():
        assert (MODELS / "siamese.keras").stat().st_size < 12_000_000


@pytest.mark.slow
def test_the_shipped_int8_file_is_the_shipped_keras_model(crops: np.ndarray, yardstick: Yardstick) -> None:
    model = MODELS / "siamese.keras"
    if not model.exists():
        pytest.skip("models/siamese.keras is not in this checkout")
    siamese = keras.saving.load_model(model, compile=False)
    verifier = TfliteVerifier(MODELS / "siamese.tflite")
    exact = embed(siamese.get_layer("tower"), crops)
    rounded = np.stack([verifier.embed(crop) for crop in crops])
    assert np.mean(np.sum(exact * rounded, axis=1)) > 0.98
    head = siamese.get_layer("head")
    ours, theirs = yardstick.judge(exact, head), yardstick.judge(rounded, head)
    assert ours["accuracy"] == pytest.approx(theirs["accuracy"], abs=0.02)
    assert verifier.embed(crops[0]).shape == (verifier.manifest.embedding_size,)
