"""For every test."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
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

MOST_WORKERS = 4
"""Each may hold TensorFlow and the models of its tests: one or two GB."""

ONE_THREAD_EACH = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM", "TF_NUM_INTRAOP_THREADS")

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


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """A run of all tests but the system tests is shared among the processors, where pytest-xdist is installed.

    Named files and tests run in this process, as a debugger wants it; `-n` says otherwise either way.
    """
    option, whole = config.option, config.args_source is pytest.Config.ArgsSource.TESTPATHS
    if not config.pluginmanager.hasplugin("xdist") or "PYTEST_XDIST_WORKER" in os.environ:
        return  # a worker, which would begin workers of its own without end
    if option.numprocesses is None and whole and "not system" in option.markexpr and option.capture != "no":
        option.numprocesses, option.maxprocesses = "auto", option.maxprocesses or MOST_WORKERS
        option.dist = "worksteal" if option.dist == "no" else option.dist
        option.durations = 10 if option.durations is None else option.durations
    if option.numprocesses:  # the workers are enough to keep the processors busy
        for name in ONE_THREAD_EACH:
            os.environ.setdefault(name, "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is marked `first` begins first; all else stays in its order, in which neighbours share what is built."""
    items.sort(key=lambda item: item.get_closest_marker("first") is None)


@pytest.fixture(scope="session")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """A folder that takes long to fill, filled once however many workers ask: `built_once(name, fill)` -> the folder.

    `fill` gets a folder that is not there yet. Tests copy what they change.
    """
    home = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        home = home.parent  # of all workers

    def build(name: str, fill: Callable[[Path], object]) -> Path:
        folder, finished = home / name, home / f"{name}.finished"
        with (home / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # let go when the file is closed, or its holder killed
            if not finished.exists():
                shutil.rmtree(folder, ignore_errors=True)
                fill(folder)
                finished.touch()
        return folder

    return build


def _write_cohort(path: Path) -> str:
    """People so far from everything that an untrained model tells them apart; the file's hash."""
    rng = np.random.default_rng(3)
    with path.open("wb") as stream:
        np.savez(
            stream,
            vectors=rng.integers(-127, 128, (2, 16)).astype(np.int8),
            scales=np.full(2, 100, np.float32),
            kinds=np.zeros(2, np.uint8),
            points=np.eye(1, 16, dtype=np.float32),
        )
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def tiny_model(tmp_path: Path) -> Callable[..., Path]:
    """Writes a real, untrained model with cohort and manifest: `tiny_model(content=None, **changes)` -> the .tflite.

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
            "cohort": {
                "sha256": _write_cohort(model.with_suffix(".cohort")),
                "people": 2,
                "unfamiliar_from": 1.0,
                "most_let_in": 0.5,
            },
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
