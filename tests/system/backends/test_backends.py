"""Training under Keras' other backends, JAX and on request PyTorch, each in an environment of its own that has no
TensorFlow. What a GPU's recipe adds is in it: processes, 16 bits, a live teacher.
"""

from __future__ import annotations

import csv
import importlib.metadata
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facelatch_training.data.made_faces import write_crop_set

pytestmark = pytest.mark.system

REPO = Path(__file__).resolve().parents[3]

BOUND_TO_TENSORFLOW = ("tensorflow", "tflite-runtime", "ai-edge-quantizer")

RECIPE = """
name = "tiny"
processes = true
[tower]
stem = 8
widths = [8]
blocks = [1]
head = 0
core = 128
embedding = 32
[metric]
batch = 16
steps = 100
round_steps = 20
decay_steps = 40
live_teacher = true
distill_weight = 20.0
precision = "mixed_bfloat16"
[siamese]
batch = 16
steps = 4
round_steps = 2
"""

EMBED = """
import sys
from pathlib import Path
import numpy as np
from facelatch_training.model.siamese import load_siamese
crops = np.random.default_rng(1).integers(0, 256, (8, 112, 112, 3), np.uint8)
tower = load_siamese(Path(sys.argv[1])).get_layer("tower")
np.save(sys.argv[2], tower.predict(crops, verbose=0))
"""


BACKENDS = {"jax": "jax>=0.7,<0.8", "torch": "torch"}
"""By name, what pip is to fetch. PyTorch comes with 6 GB of CUDA: only where FACELATCH_TRY_TORCH is set."""


def without_tensorflow(instead: str) -> list[str]:
    """What training needs, by pyproject.toml, and another package in the place of TensorFlow."""
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = project["dependencies"] + project["optional-dependencies"]["train"]
    return [
        instead,
        f"keras=={importlib.metadata.version('keras')}",  # that of the interpreter which reads the model
        *sorted({name for name in needed if not name.startswith(BOUND_TO_TENSORFLOW)}),
    ]


@pytest.fixture(scope="module", params=BACKENDS)
def run_there(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., None]:
    """Runs that environment's Python with the arguments given."""
    backend = request.param
    if backend == "torch" and "FACELATCH_TRY_TORCH" not in os.environ:
        pytest.skip("SYSTEM TESTS SKIPPED: torch: FACELATCH_TRY_TORCH is not set")
    home = tmp_path_factory.mktemp(backend)
    if subprocess.run([sys.executable, "-m", "venv", home], check=False).returncode:
        pytest.skip(f"SYSTEM TESTS SKIPPED: {backend}: no virtual environment can be made")
    python = home / "bin" / "python"
    pip = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    needed = without_tensorflow(BACKENDS[backend])
    if subprocess.run([*pip, *needed], check=False, timeout=900).returncode:
        pytest.skip(f"SYSTEM TESTS SKIPPED: {backend} cannot be fetched")

    def run(*arguments: object) -> None:
        backend_run(python, backend, *arguments)

    return run


def backend_run(python: Path, backend: str, *arguments: object) -> None:
    paths = os.pathsep.join(str(REPO / folder) for folder in ("daemon", "training"))
    environment = {**os.environ, "PYTHONPATH": paths, "KERAS_BACKEND": backend}
    command = [str(python), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


def test_a_model_trained_there_learns_and_is_the_same_model_under_tensorflow(
    tmp_path: Path, small_teacher: Path, run_there: Callable[..., None]
) -> None:
    data, recipe, run = write_crop_set(tmp_path / "set"), tmp_path / "training.toml", tmp_path / "run"
    recipe.write_text(RECIPE)
    inputs = (data, "--run", run, "--recipe", recipe, "--teacher", small_teacher, "--cache", tmp_path / "cache")
    run_there("-m", "facelatch_training.cli.root", "fit", *inputs)
    with (run / "metric.csv").open() as lines:
        rounds = list(csv.DictReader(lines))
    losses, gaps = ([float(line[name]) for line in rounds] for name in ("loss", "distill"))
    assert losses[-1] < 0.9 * losses[0]
    assert gaps[0] > 0.8, "the teacher was not heard where no answer of ncnn's was kept"
    assert gaps[-1] < 0.97 * gaps[0]
    run_there("-m", "facelatch_training.cli.root", "evaluate", run / "siamese.keras", "--data", data)
    run_there("-c", EMBED, run / "siamese.keras", tmp_path / "there.npy")
    backend_run(Path(sys.executable), "tensorflow", "-c", EMBED, run / "siamese.keras", tmp_path / "tf.npy")
    there, tensorflow = np.load(tmp_path / "there.npy"), np.load(tmp_path / "tf.npy")
    assert there.std() > 0.01
    assert np.abs(there - tensorflow).max() < 1e-4
