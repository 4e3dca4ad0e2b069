"""A model that does not fit its manifest or this code is refused, each fault with its own message."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facelatch.errors import ModelError
from facelatch.vision.align import ALIGN_VERSION
from facelatch.vision.manifest import load_manifest


@pytest.fixture
def model(tiny_model: Callable[..., Path]) -> Path:
    return tiny_model()


def refusal(model: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        load_manifest(model)
    assert str(model.parent) in str(caught.value)
    assert caught.value.hint
    assert caught.value.exit_code == 4
    return caught.value


def test_a_model_with_its_manifest_is_accepted(model: Path):
    manifest = load_manifest(model)
    assert manifest.embedding_size == 16
    assert manifest.detection_threshold == 0.5


def test_a_missing_model_is_named(model: Path):
    model.unlink()
    assert str(refusal(model)) == f"{model}: no such file"


def test_a_missing_manifest_is_named(model: Path):
    model.with_suffix(".json").unlink()
    assert str(refusal(model)) == f"{model.with_suffix('.json')}: no such file"


def test_a_model_with_one_changed_byte_is_refused(model: Path):
    data = bytearray(model.read_bytes())
    data[-1] ^= 1
    model.write_bytes(data)
    assert "sha256" in str(refusal(model))


def test_a_model_cut_short_is_refused(model: Path):
    model.write_bytes(model.read_bytes()[:-100])
    assert "sha256" in str(refusal(model))


def test_a_model_for_other_crops_is_refused(tiny_model: Callable[..., Path]):
    model = tiny_model(align_version=ALIGN_VERSION + 1)
    error = refusal(model)
    assert f"align_version is {ALIGN_VERSION + 1}, this program aligns by version {ALIGN_VERSION}" in str(error)


@pytest.mark.parametrize("name", ["embed", "compare", "verify"])
def test_a_manifest_without_a_signature_is_refused(tiny_model: Callable[..., Path], name: str):
    signatures = json.loads(tiny_model().with_suffix(".json").read_text())["signatures"]
    model = tiny_model(signatures={key: value for key, value in signatures.items() if key != name})
    assert f"signature '{name}' is missing" in str(refusal(model))


def test_a_manifest_with_other_tensor_names_is_refused(tiny_model: Callable[..., Path]):
    signatures = json.loads(tiny_model().with_suffix(".json").read_text())["signatures"]
    model = tiny_model(signatures={**signatures, "embed": {"inputs": ["x"], "outputs": ["embedding"]}})
    assert "signature 'embed' is" in str(refusal(model))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"detection_threshold": 1.5}, "detection_threshold: Input should be less than 1"),
        ({"verification_threshold": 0}, "verification_threshold: Input should be greater than 0"),
        ({"model_sha256": "abc"}, "model_sha256: String should match pattern"),
        ({"surprise": 1}, "surprise: Extra inputs are not permitted"),
        ({"format": 2}, "format: Input should be 1"),
        ({"kind": "finder"}, "kind: Input should be 'siamese'"),
        ({"detection_threshold": float("nan")}, "detection_threshold"),
    ],
)
def test_a_malformed_manifest_names_the_key(tiny_model: Callable[..., Path], values: dict[str, Any], expected: str):
    model = tiny_model(**values)
    assert expected in str(refusal(model))


def test_every_fault_of_a_manifest_is_named_at_once(tiny_model: Callable[..., Path]):
    model = tiny_model(detection_threshold=1.5, embedding_size=1)
    error = str(refusal(model))
    assert "detection_threshold" in error
    assert "embedding_size" in error


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_a_manifest_that_is_no_json_object_is_refused(model: Path, content: bytes):
    model.with_suffix(".json").write_bytes(content)
    assert "not a model manifest" in str(refusal(model))


def test_a_toy_model_says_so(tiny_model: Callable[..., Path]):
    model = tiny_model(opens_doors=False)
    assert not load_manifest(model).opens_doors
    assert json.loads(model.with_suffix(".json").read_text())["opens_doors"] is False
