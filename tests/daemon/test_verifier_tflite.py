"""The Siamese network in every TFLite runtime that is installed, on a real file with the real signatures."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facelatch.adapters.models import tflite, verifier_tflite
from facelatch.adapters.models.verifier_tflite import TfliteVerifier
from facelatch.errors import InferenceError, ModelError

TINY = Path(__file__).resolve().parents[1] / "golden" / "tiny_siamese.tflite"
RUNTIMES = {"ai-edge-litert": "ai_edge_litert", "tflite-runtime": "tflite_runtime"}


@pytest.fixture(params=sorted(RUNTIMES))
def verifier(request: pytest.FixtureRequest, tiny_model: Callable[..., Path]) -> TfliteVerifier:
    if importlib.util.find_spec(RUNTIMES[request.param]) is None:
        pytest.skip(f"{request.param} is not installed here")
    return TfliteVerifier(tiny_model(), runtime=request.param)


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    """(6, 112, 112, 3) pictures of coarse coloured patches."""
    patches = np.random.default_rng(3).integers(0, 255, (6, 4, 4, 3), dtype=np.uint8)
    return patches.repeat(28, axis=1).repeat(28, axis=2)


def test_at_least_one_runtime_is_installed():
    assert any(importlib.util.find_spec(module) for module in RUNTIMES.values())


def test_without_litert_tflite_runtime_takes_over(
    monkeypatch: pytest.MonkeyPatch, tiny_model: Callable[..., Path], crops: np.ndarray
):
    """LiteRT is chosen first and may be missing or broken."""
    pytest.importorskip("tflite_runtime")
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    verifier = TfliteVerifier(tiny_model())
    assert verifier.runtime.startswith("tflite-runtime")
    assert verifier.embed(crops[0]).shape == (16,)


def test_an_embedding_is_one_float_vector_of_the_manifests_size(verifier: TfliteVerifier, crops: np.ndarray):
    embedding = verifier.embed(crops[0])
    assert embedding.shape == (16,)
    assert embedding.dtype == np.float32
    assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-3)


def test_a_later_embedding_leaves_an_earlier_one_alone(verifier: TfliteVerifier, crops: np.ndarray):
    first = verifier.embed(crops[0])
    kept = first.copy()
    assert not np.allclose(verifier.embed(crops[1]), kept)
    np.testing.assert_array_equal(first, kept)
    first[:] = 0
    np.testing.assert_array_equal(verifier.embed(crops[0]), kept)


@pytest.mark.parametrize("count", [0, 1, 6, 1000])
def test_one_call_compares_with_any_number_of_references(
    verifier: TfliteVerifier, crops: np.ndarray, count: int
):
    embeddings = np.stack([verifier.embed(crop) for crop in crops])
    gallery = embeddings[np.arange(count) % 6]
    similarities = verifier.compare(embeddings[0], gallery)
    assert similarities.shape == (count,)
    assert similarities.dtype == np.float32
    assert ((similarities >= 0) & (similarities <= 1)).all()
    assert (similarities[::6] > 0.9).all()


def test_the_size_of_the_gallery_may_change_between_calls(verifier: TfliteVerifier, crops: np.ndarray):
    embeddings = np.stack([verifier.embed(crop) for crop in crops])
    together = verifier.compare(embeddings[0], embeddings)
    one_by_one = [verifier.compare(embeddings[0], row[None])[0] for row in embeddings]
    np.testing.assert_allclose(together, one_by_one, atol=1e-5)


@pytest.mark.parametrize("count", [511, 512, 513, 1500])
def test_many_references_are_compared_in_their_order(verifier: TfliteVerifier, count: int):
    gallery = np.random.default_rng(count).normal(size=(count, 16)).astype(np.float32)
    probe = gallery[count // 2]
    sampled = [0, count // 2, count - 2, count - 1]
    one_by_one = [verifier.compare(probe, gallery[row][None])[0] for row in sampled]
    np.testing.assert_allclose(verifier.compare(probe, gallery)[sampled], one_by_one, atol=1e-5)


def test_the_parts_say_the_same_as_the_whole_network(verifier: TfliteVerifier, crops: np.ndarray):
    probe = verifier.embed(crops[0])
    for crop in crops:
        parts = verifier.compare(probe, verifier.embed(crop)[None])[0]
        assert verifier.verify(crops[0], crop) == pytest.approx(float(parts), abs=1e-4)


def test_a_crop_that_is_a_view_is_taken(verifier: TfliteVerifier, crops: np.ndarray):
    turned = crops[0][:, ::-1]
    np.testing.assert_array_equal(verifier.embed(turned), verifier.embed(np.ascontiguousarray(turned)))


def test_it_says_which_runtime_and_which_model_it_is(verifier: TfliteVerifier):
    package, number = verifier.runtime.split(" ")
    assert package in RUNTIMES
    assert number[0].isdigit()
    assert isinstance(verifier.accelerated, bool)
    assert verifier.model_sha256 == hashlib.sha256(TINY.read_bytes()).hexdigest()


def test_both_runtimes_give_the_same_embedding(tiny_model: Callable[..., Path], crops: np.ndarray):
    for module in RUNTIMES.values():
        pytest.importorskip(module, reason=f"{module} is not installed: nothing to compare with")
    one, other = (TfliteVerifier(tiny_model(), runtime=name) for name in RUNTIMES)
    np.testing.assert_allclose(one.embed(crops[0]), other.embed(crops[0]), atol=1e-4)


def test_threads_change_nothing(tiny_model: Callable[..., Path], crops: np.ndarray):
    model = tiny_model()
    one, two = TfliteVerifier(model, threads=1), TfliteVerifier(model, threads=2)
    np.testing.assert_allclose(one.embed(crops[0]), two.embed(crops[0]), atol=1e-6)


def test_a_damaged_model_whose_hash_fits_is_refused_by_name(tiny_model: Callable[..., Path]):
    model = tiny_model(b"TFL3 but nothing else" * 10)
    with pytest.raises(ModelError, match="cannot load it") as caught:
        TfliteVerifier(model)
    assert str(model) in str(caught.value)
    assert caught.value.hint


def test_a_file_with_other_signatures_than_its_manifest_says_is_refused(tiny_model: Callable[..., Path]):
    tampered = TINY.read_bytes().replace(b"validation", b"validatiom")
    assert tampered != TINY.read_bytes()
    with pytest.raises(ModelError, match="signature 'verify' of the file is"):
        TfliteVerifier(tiny_model(tampered))


def test_a_file_with_another_embedding_size_than_its_manifest_says_is_refused(
    tiny_model: Callable[..., Path],
):
    model = tiny_model(embedding_size=128)
    with pytest.raises(ModelError, match=r"embeddings are \[1, 16\], its manifest says \[1, 128\]"):
        TfliteVerifier(model)


def test_the_manifest_is_checked_first(tmp_path: Path):
    with pytest.raises(ModelError, match="no such file"):
        TfliteVerifier(tmp_path / "siamese.tflite")


def test_the_bytes_that_were_checked_are_those_that_run(tiny_model, monkeypatch, crops: np.ndarray):
    """Whoever may replace the file has no moment for it between the check and the loading."""
    model = tiny_model()
    real = tflite.load_runtime

    def replacing(wanted: str | None = None) -> object:
        model.write_bytes(b"another model")
        return real(wanted)

    monkeypatch.setattr(verifier_tflite, "load_runtime", replacing)
    assert TfliteVerifier(model).embed(crops[0]).shape == (16,)


def test_without_any_runtime_the_hint_says_what_to_install(tiny_model, monkeypatch):
    monkeypatch.setattr(tflite, "RUNTIMES", (("no_such_runtime", "no-such-runtime"),))
    with pytest.raises(ModelError, match="no TFLite runtime") as caught:
        TfliteVerifier(tiny_model())
    assert "pip install ai-edge-litert" in caught.value.hint


def test_a_model_that_the_runtime_cannot_run_is_an_error_of_its_own(
    tiny_model, monkeypatch, crops: np.ndarray
):
    """Some damage is found with the first picture only."""
    verifier = TfliteVerifier(tiny_model())

    def failing(**_inputs: object) -> dict[str, np.ndarray]:
        raise RuntimeError("AllocateTensors() called on inconsistent model")

    for runner in ("_embed", "_compare", "_verify"):
        monkeypatch.setattr(verifier, runner, failing)
    one = np.ones((1, 16), np.float32)
    for call in (
        lambda: verifier.embed(crops[0]),
        lambda: verifier.compare(one[0], one),
        lambda: verifier.verify(crops[0], crops[1]),
    ):
        with pytest.raises(InferenceError, match="inconsistent"):
            call()


@pytest.mark.parametrize(("number", "complaint"), [(np.nan, "not finite"), (np.inf, "not finite"), (0, "zeros")])
def test_an_embedding_that_is_not_finite_or_nothing_is_an_error_not_a_face(
    tiny_model, monkeypatch, number, complaint
):
    verifier = TfliteVerifier(tiny_model())
    monkeypatch.setattr(verifier, "_embed", lambda image: {"embedding": np.full((1, 16), number, np.float32)})
    with pytest.raises(InferenceError, match=complaint):
        verifier.embed(np.zeros((112, 112, 3), np.uint8))
