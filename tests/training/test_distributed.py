"""Two local workers share each batch and end with one model, about as good as a single one's, or do not begin."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from training_doubles import REPO

from facelatch_training.data.made_faces import write_crop_set
from facelatch_training.files import TrainingError
from facelatch_training.model.siamese import load_siamese

RECIPE = """
name = "tiny"
tower = {stem = 8, widths = [8, 16], blocks = [1, 1], head = 16, core = 16, embedding = 32}
augment = {mild = 1.0}
metric = {batch = 64, steps = 40, warmup_steps = 5, decay_steps = 20, round_steps = 10, distill_weight = 0, morphs = 0}
siamese = {batch = 16, steps = 20, warmup_steps = 2, decay_steps = 10, round_steps = 10}
"""


def start(data: Path, run: Path, index: int, ports: list[int]) -> subprocess.Popen[str]:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    environment["PYTHONPATH"] = os.pathsep.join([str(REPO / "daemon"), str(REPO / "training")])
    if ports:
        cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
        task = {"type": "worker", "index": index}
        environment["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": task})
    recipe = data.with_name("training.toml")
    recipe.write_text(RECIPE, encoding="utf-8")
    command = [sys.executable, "-m", "facelatch_training.cli.root", "fit", str(data), "--run", str(run)]
    command += ["--recipe", str(recipe)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def finish(*workers: subprocess.Popen[str], code: int = 0) -> str:
    """Waits for all to end with `code`; returns what they said on the way."""
    everything = ""
    try:
        for worker in workers:
            _, errors = worker.communicate(timeout=300)
            assert worker.returncode == code, errors[-2000:]
            everything += errors
        return everything
    finally:
        for worker in workers:
            worker.kill()


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def learned(model: Path) -> np.ndarray:
    """All that was learned or set; batch normalisation's running statistics are each worker's own."""
    siamese = load_siamese(model)
    lengths = [siamese.get_layer("tower").get_layer(name) for name in ("kinds", "length")]
    variables = [*siamese.trainable_variables, *(weights for layer in lengths for weights in layer.variables)]
    return np.concatenate([np.ravel(v) for v in variables])


def last(folder: Path, figure: str) -> float:
    """What the metric stage ended with."""
    lines = (folder / "metric.csv").read_text().splitlines()
    return float(lines[-1].split(",")[lines[0].split(",").index(figure)])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_crop_set(tmp_path_factory.mktemp("made") / "data")


@pytest.fixture(scope="module")
def pair(data: Path, built_once: Callable[..., Path]) -> Path:
    """The run folder of two workers; tests copy it before they write there."""

    def train(folder: Path) -> None:
        ports = free_ports(2)
        finish(*(start(data, folder, index, ports) for index in range(2)))

    return built_once("pair", train)


@pytest.mark.slow
def test_two_workers_train_one_model(data: Path, pair: Path, tmp_path: Path) -> None:
    single, other = tmp_path / "single", pair / "worker-1"
    finish(start(data, single, 0, []))
    assert list((pair / "cache").glob("crops-*"))
    assert list((other / "cache").glob("crops-*"))
    assert np.array_equal(learned(pair / "siamese.keras"), learned(other / "siamese.keras"))
    # Each worker logs its own share; batch normalisation over half a batch makes a little difference.
    together = (last(pair, "loss") + last(other, "loss")) / 2
    assert together == pytest.approx(last(single, "loss"), rel=0.25)
    assert last(pair, "auc") == last(other, "auc")
    assert last(pair, "auc") == pytest.approx(last(single, "auc"), abs=0.1)


@pytest.mark.slow
def test_workers_whose_checkpoints_are_of_different_steps_do_not_go_on(
    data: Path, pair: Path, tmp_path: Path
) -> None:
    shutil.copytree(pair, tmp_path / "pair")
    (tmp_path / "pair" / "worker-1" / "metric.npz").unlink()
    ports = free_ports(2)
    workers = (start(data, tmp_path / "pair", index, ports) for index in range(2))
    errors = finish(*workers, code=TrainingError.exit_code)
    assert errors.count("another's is not") == 2
    assert "Traceback" not in errors
