"""For every test."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from facelatch.align import ALIGN_VERSION

# A deadline measures the machine, not the code: the first example pays for imports, a busy runner for the rest.
# CI tries the same examples every time: a new counterexample is found at a desk, not in somebody else's change.
settings.register_profile("facelatch", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("facelatch")

TINY_MODEL = Path(__file__).parent / "golden" / "tiny_siamese.tflite"


@pytest.fixture
def tiny_model(tmp_path: Path) -> Callable[..., Path]:
    """Writes a real, untrained model and its manifest: `tiny_model(content=None, **changes)` -> the .tflite.

    `content` replaces the file's bytes, with a hash that fits; `changes` replace values of the manifest.
    """

    def write(content: bytes | None = None, **changes: Any) -> Path:
        model = tmp_path / "siamese.tflite"
        model.write_bytes(TINY_MODEL.read_bytes() if content is None else content)
        manifest = {
            "format": 1,
            "kind": "siamese",
            "model_sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
            "align_version": ALIGN_VERSION,
            "embedding_size": 16,
            "signatures": {
                "embed": {"inputs": ["image"], "outputs": ["embedding"]},
                "compare": {"inputs": ["probe", "gallery"], "outputs": ["similarity"]},
                "verify": {"inputs": ["anchor", "validation"], "outputs": ["similarity"]},
            },
            "detection_threshold": 0.5,
            "verification_threshold": 0.5,
            "rates": {},
            "data": "none: untrained",
            "recipe_sha256": "",
            "commit": "",
            "created": "",
        }
        model.with_suffix(".json").write_text(json.dumps(manifest | changes), encoding="utf-8")
        return model

    return write
