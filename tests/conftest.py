"""For every test."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from facelatch.vision.align import ALIGN_VERSION

# A deadline measures the machine, not the code: the first example pays for imports, a busy runner for the rest.
# CI tries the same examples every time: a new counterexample is found at a desk, not in somebody else's change.
settings.register_profile("facelatch", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("facelatch")

TINY_MODEL = Path(__file__).parent / "golden" / "tiny_siamese.tflite"

TEACHER_SIZE = 128
TEACHER_LAYERS = f"""7767517
13 14
Input data 0 1 data
BinaryOp minus 1 1 data minus 0=1 1=1 2=127.5
BinaryOp times 1 1 minus times 0=2 1=1 2=0.0078125
Convolution conv 1 1 times conv 0=4 1=3 11=3 3=8 13=8 4=1 14=1 5=0 6=108
BatchNorm norm 1 1 conv norm 0=4
PReLU relu 1 1 norm relu 0=4
Split split 1 2 relu left right
ConvolutionDepthWise deep 1 1 left deep 0=4 1=3 11=3 3=1 13=1 4=1 14=1 5=0 6=36 7=4
BinaryOp sum 2 1 deep right sum 0=0
ConvolutionDepthWise half 1 1 sum half 0=4 1=3 11=3 3=2 13=2 4=1 14=1 5=0 6=36 7=4
ConvolutionDepthWise pool 1 1 half pool 0=4 1=7 11=7 3=1 13=1 4=0 14=0 5=0 6=196 7=4
InnerProduct line 1 1 pool line 0={TEACHER_SIZE} 1=1 2={4 * TEACHER_SIZE}
BatchNorm fc1 1 1 line fc1 0={TEACHER_SIZE}
"""
"""Every kind of layer that MobileFaceNet has."""


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


@pytest.fixture
def small_teacher(tmp_path: Path) -> Path:
    """A folder with a teacher's two files: a small network of random weights."""
    rng, mark = np.random.default_rng(0), np.zeros(1, np.float32)

    def norm(width: int) -> list[np.ndarray]:
        return [rng.uniform(0.5, 2, width), rng.normal(size=width), rng.uniform(0.5, 2, width), rng.normal(size=width)]

    arrays = [
        *(mark, rng.normal(size=108), *norm(4), rng.uniform(0, 0.5, 4)),
        *(mark, rng.normal(size=36), mark, rng.normal(size=36), mark, rng.normal(size=196)),
        *(mark, rng.normal(size=4 * TEACHER_SIZE), rng.normal(size=TEACHER_SIZE), *norm(TEACHER_SIZE)),
    ]
    home = tmp_path / "teacher"
    home.mkdir()
    (home / "mobilefacenet.param").write_text(TEACHER_LAYERS)
    (home / "mobilefacenet.bin").write_bytes(np.concatenate(arrays).astype("<f4").tobytes())
    return home
