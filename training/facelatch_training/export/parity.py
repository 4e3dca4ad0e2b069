"""Whether the int8 file does what the float model does, in every TFLite runtime there is."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from facelatch.errors import ModelError
from facelatch_training.data.crops import CropArray
from facelatch_training.fitting.validation import Yardstick
from facelatch_training.model.tower import embed

MAX_LOSS = 0.002
"""Accuracy on the yardstick's pairs that int8 may lose against float."""

CHANCE_PAIRS = 10
"""Or so many pairs, where there are few: a lost pair more or less is chance."""

MIN_COSINE = 0.99
"""Mean cosine between one crop's embeddings in two runtimes; below, one of them computes something else."""

MIN_INT8_COSINE = 0.98
"""The same between int8 and float, which few people are enough to see; 0.997 to 0.999 are usual for a trained
tower.
"""

MAX_LENGTH_OFF = 0.01
"""Share by which the mean length of embeddings may be off, between int8 and float, or between two runtimes."""

RUNTIMES = ("ai-edge-litert", "tflite-runtime")
_RUNTIME_CHECK = "facelatch_training.export.runtime_check"


@dataclass(frozen=True)
class Parity:
    """How the int8 file compares with the Keras model it came from, on the yardstick."""

    float_figures: dict[str, float]
    int8_figures: dict[str, float]
    cosine: float
    """Mean cosine between the float and the int8 embedding of a crop."""
    runtimes: dict[str, str]
    """Per runtime its version and the largest difference of an embedding from the first runtime's."""


def compare_with_float(model: Path, siamese: keras.Model, yardstick: Yardstick) -> Parity:
    """Run the file in every runtime there is and judge it. Raises ModelError when it is not good enough."""
    tower, head = siamese.get_layer("tower"), siamese.get_layer("head")
    exact = embed(tower, yardstick.crops)
    rounded, runtimes = _in_all_runtimes(model, yardstick.crops)
    parity = Parity(
        float_figures=yardstick.judge(exact, head),
        int8_figures=yardstick.judge(rounded, head),
        cosine=_mean_cosine(exact, rounded),
        runtimes=runtimes,
    )
    lost = parity.float_figures["accuracy"] - parity.int8_figures["accuracy"]
    allowed = max(MAX_LOSS, CHANCE_PAIRS / len(yardstick.pairs.same))
    if lost > allowed:
        raise ModelError(
            f"int8 loses {100 * lost:.2f} points of pair accuracy, {100 * allowed:.2f} are allowed",
            hint="more calibration crops, or train longer with a lower final rate",
        )
    if not parity.cosine >= MIN_INT8_COSINE:  # also for embeddings that are no numbers
        raise ModelError(
            f"int8 embeds otherwise than float: mean cosine {parity.cosine:.3f}, {MIN_INT8_COSINE} is the least",
            hint="more calibration crops, or train longer with a lower final rate",
        )
    _refuse_other_lengths(rounded, exact, "int8 against float")
    return parity


def _in_all_runtimes(model: Path, crops: CropArray) -> tuple[Any, dict[str, str]]:
    """Embeddings (N, D) by the first runtime, and a line on every runtime.

    tflite-runtime ends with Python 3.11: where it cannot be had it is said to be unchecked.
    """
    reference: Any = None
    lines: dict[str, str] = {}
    for runtime in RUNTIMES:
        if runtime == "tflite-runtime" and sys.version_info >= (3, 12):
            lines[runtime] = (
                f"{runtime} NOT CHECKED: there is none for this Python; export under 3.11 to check"
            )
            continue
        embeddings, version = _embed_in(runtime, model, crops if reference is None else crops[:64])
        reference = embeddings if reference is None else reference
        gap = _refuse_other_embeddings(embeddings, reference[: len(embeddings)], runtime, model)
        lines[runtime] = f"{version}, largest difference {gap:.4f}"
    return reference, lines


def _embed_in(runtime: str, model: Path, crops: CropArray) -> tuple[Any, str]:
    """Embeddings (N, D), and the runtime with its version. In a process of its own: two runtimes in one may clash.

    Raises ModelError when the runtime cannot run the model.
    """
    with tempfile.TemporaryDirectory() as folder:
        crops_file, answer = Path(folder) / "crops.npy", Path(folder) / "answer.npy"
        np.save(crops_file, crops)
        done = subprocess.run(
            [sys.executable, "-m", _RUNTIME_CHECK, runtime, model, crops_file, answer],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ModelError(f"{runtime} cannot run {model.name}: {done.stderr.strip()[-500:]}")
        return np.load(answer), done.stdout.strip()


def _refuse_other_embeddings(embeddings: Any, reference: Any, runtime: str, model: Path) -> float:
    """The largest difference between two runtimes' (N, D). Raises ModelError when they compute different things."""
    cosine = _mean_cosine(reference, embeddings)
    if not cosine >= MIN_COSINE:  # also for embeddings that are no numbers
        raise ModelError(
            f"{runtime} and {RUNTIMES[0]} disagree about {model.name}: mean cosine {cosine:.3f}",
            hint="is one of the two runtimes damaged? pip install --force-reinstall " + runtime,
        )
    _refuse_other_lengths(embeddings, reference, f"{runtime} against {RUNTIMES[0]}")
    return float(np.abs(reference - embeddings).max())


def _refuse_other_lengths(one: Any, other: Any, what: str) -> None:
    """Raises ModelError when embeddings (N, D) are longer or shorter by the one than by the other."""
    off = float(np.mean(np.linalg.norm(one, axis=1)) / np.mean(np.linalg.norm(other, axis=1)) - 1)
    if not abs(off) <= MAX_LENGTH_OFF:  # also for embeddings that are no numbers
        raise ModelError(
            f"{what}: embeddings are {100 * off:+.1f} % off in length, {100 * MAX_LENGTH_OFF:.0f} % are allowed",
            hint="more calibration crops; or is a runtime damaged?",
        )


def _mean_cosine(one: Any, other: Any) -> float:
    """Mean cosine between the rows of two (N, D); not a number where a row is nothing or no numbers."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.mean(np.sum(one * other, axis=1) / lengths))
