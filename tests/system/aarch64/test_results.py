"""An aarch64 processor comes to the same results as this one; run.sh has both written and names their folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.system

TOLERANCES = {
    # XNNPACK's int8 kernels are exact; what is left is the rounding of a few float operations. It may change a grey
    # level of the crop that the refiner sees, and then its int8 answer by a step.
    "ai-edge-litert": {"scores": 1e-4, "landmarks": 0.1, "embeddings": 1e-5, "similarities": 1e-4},
    # Its int8 kernels for NEON round otherwise than its portable ones, which x86_64 gets.
    "tflite-runtime": {"scores": 0.01, "landmarks": 1.0, "embeddings": 0.02, "similarities": 0.05},
}
"""Largest difference to x86_64; landmarks in pixels of 320x240."""


@pytest.fixture(params=["cortex-a72", "cortex-a76"])
def aarch64(request: pytest.FixtureRequest) -> dict[str, Any]:
    results = _results(f"results-{request.param}.json")
    assert results["machine"] == "aarch64"
    return results


@pytest.fixture
def here() -> dict[str, Any]:
    return _results("results-here.json")


def _results(name: str) -> dict[str, Any]:
    return json.loads((Path(os.environ["FACELATCH_AARCH64_RESULTS"]) / name).read_text())


def test_the_golden_crops_are_identical(aarch64: dict[str, Any]):
    """Bit by bit: what a model was trained on x86_64 crops is what it gets at the door."""
    assert {name: away["largest"] for name, away in aarch64["golden"].items()} == {"large": 0, "small": 0}


@pytest.mark.parametrize("runtime", sorted(TOLERANCES))
def test_faces_embeddings_and_similarities_are_those_of_x86_64(
    here: dict[str, Any], aarch64: dict[str, Any], runtime: str
):
    """Same finds, same embeddings of the same crops, in both runtimes."""
    expected, got = here["runtimes"][runtime], aarch64["runtimes"][runtime]
    assert len(got["scores"]) == len(expected["scores"]) == 8
    for what, tolerance in TOLERANCES[runtime].items():
        difference = float(np.abs(np.array(got[what]) - np.array(expected[what])).max())
        print(f"measured: {runtime}, {what}: largest difference {difference:.2g}")  # noqa: T201  (-rP shows it)
        assert difference <= tolerance, what


@pytest.mark.parametrize("runtime", sorted(TOLERANCES))
def test_the_comparison_is_of_different_people(aarch64: dict[str, Any], runtime: str):
    """Equal results would prove little if every picture gave the same ones."""
    similarities = np.array(aarch64["runtimes"][runtime]["similarities"])
    same = np.kron(np.eye(4), np.ones((2, 2))) > 0
    assert similarities[same].mean() > similarities[~same].mean() + 0.2
