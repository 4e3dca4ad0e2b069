"""`facelatch-train`: every command explains itself, starts fast, and turns faults into one line and an exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from training_doubles import REPO

from facelatch.errors import InputError, ModelError
from facelatch_training.cli.root import commands
from facelatch_training.data.dataset import of_few

NAMES = ("collect", "prepare", "fit", "evaluate", "calibrate", "export", "report", "all", "finder")


def run(*arguments: str, under: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """The program as a person starts it; `under` another that starts it."""
    paths = os.pathsep.join(str(REPO / folder) for folder in ("daemon", "training"))
    return subprocess.run(
        [*under, sys.executable, "-m", "facelatch_training.cli.root", *arguments],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip


def test_help_names_every_command() -> None:
    shown = run("--help")
    assert shown.returncode == 0
    for name in NAMES:
        assert f"\n  {name} " in shown.stdout


@pytest.mark.parametrize("name", NAMES)
def test_every_command_explains_itself(name: str) -> None:
    shown = CliRunner().invoke(commands, [name, "--help"])
    assert shown.exit_code == 0
    assert len(shown.output) > 100


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from facelatch_training import cli; "
        "print([m for m in ('tensorflow', 'keras', 'matplotlib', 'cv2', 'numpy') if m in sys.modules])"
    )
    paths = os.pathsep.join(str(REPO / folder) for folder in ("daemon", "training"))
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    assert shown.stdout.strip() == "[]"


def test_a_known_fault_is_one_line_a_hint_and_an_exit_code(tmp_path: Path) -> None:
    shown = run("evaluate", str(tmp_path / "siamese.tflite"), "--people", str(tmp_path), "--aligned")
    assert shown.returncode == ModelError.exit_code
    lines = shown.stderr.strip().splitlines()
    assert lines[0].startswith("facelatch-train: ")
    assert "no such file" in lines[0]
    assert lines[1].startswith("  ")
    assert "Traceback" not in shown.stderr


@pytest.mark.parametrize("options", [[], ["--pairs", "pairs.txt"], ["--data", "a", "--people", "b"]])
def test_evaluate_wants_exactly_one_protocol(options: list[str], reference: Path) -> None:
    outcome = CliRunner().invoke(commands, ["evaluate", str(reference), "--aligned", *options])
    assert isinstance(outcome.exception, InputError)
    assert "too much" in str(outcome.exception)


@pytest.fixture
def reference() -> Path:
    """The reference network, the one verifier that needs neither training nor TensorFlow."""
    folder = REPO.parent / "shared" / "data" / "reference"
    if not (folder / "mobilefacenet.bin").is_file():
        pytest.skip("no ../shared/data/reference beside the repository")
    pytest.importorskip("ncnn")
    return folder


def write(path: Path, person: int, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng([person, number // 10]).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (112, 112), interpolation=cv2.INTER_CUBIC).astype(np.int16) + number % 10 * 3
    cv2.imwrite(str(path), image.clip(0, 255).astype(np.uint8))


def test_evaluate_prints_a_document_for_programs(tmp_path: Path, reference: Path) -> None:
    for person in range(4):
        for number in range(3):
            write(tmp_path / "people" / f"p{person}" / f"{number}.png", person, number)
    outcome = CliRunner().invoke(
        commands,
        ["evaluate", str(reference), "--people", str(tmp_path / "people"), "--aligned", "--json", "--resamples", "20",
         "--threshold", "0.6"],
    )  # fmt: skip
    assert outcome.exit_code == 0, outcome.output
    document = json.loads(outcome.stdout)
    assert document["identities"] == 4
    assert document["untold_rates"] == [1e-2, 1e-3, 1e-4]
    assert document["genuine_comparisons"] == 12
    assert document["impostor_comparisons"] == 54
    assert document["figures"]["auc"]["value"] > 0.9
    assert set(document["figures"]) >= {
        "precision", "recall", "auc", "eer", "tar@far=0.01", "tar@far=0.001", "tar@far=0.0001", "fnmr@fmr=0.0001",
    }  # fmt: skip


@pytest.mark.parametrize(
    "others", [["--teacher", "."], ["--start-from", __file__], ["--teacher", ".", "--finish-in", "5"]]
)
def test_fine_tuning_refuses_what_is_for_the_metric_stage(tmp_path: Path, others: list[str]) -> None:
    outcome = CliRunner().invoke(
        commands, ["fit", str(tmp_path), "--run", str(tmp_path / "run"), "--init", __file__, *others]
    )
    assert isinstance(outcome.exception, InputError)
    assert f"--init together with {', '.join(others[::2])}" in str(outcome.exception)
    assert not (tmp_path / "run").exists()


def test_prepare_says_what_became_of_the_pictures(tmp_path: Path) -> None:
    for person in range(8):
        for number in (0, 10):
            write(tmp_path / "people" / f"p{person}" / f"{number}.png", person, number)
    write(tmp_path / "people" / "p0" / "again.png", 0, 1)
    outcome = CliRunner().invoke(
        commands,
        [
            "prepare",
            str(tmp_path / "people"),
            "--out",
            str(tmp_path / "set"),
            "--aligned",
            "--validation",
            "0.5",
        ],
    )
    assert outcome.exit_code == 0, outcome.output
    assert "16 crops of 8 people" in outcome.output
    assert "thrown away: 1, same picture" in outcome.output
    assert "fingerprint " in outcome.output


def test_prepare_on_a_full_disk_says_so_and_leaves_nothing_half_made(tmp_path: Path) -> None:
    for person in range(8):
        for number in (0, 10):
            write(tmp_path / "people" / f"p{person}" / f"{number}.png", person, number)
    out = tmp_path / "made" / "set"
    # No file may grow beyond a few blocks; Python's own caches of modules would be cut, too.
    no_room = ("sh", "-c", 'ulimit -f 4 && PYTHONDONTWRITEBYTECODE=1 exec "$@"', "sh")
    shown = run("prepare", str(tmp_path / "people"), "--out", str(out), "--aligned", under=no_room)
    assert shown.returncode == InputError.exit_code
    assert "facelatch-train: " in shown.stderr
    assert "disk full" in shown.stderr
    assert "Traceback" not in shown.stderr
    assert list((tmp_path / "made").iterdir()) == []


def test_all_wants_to_know_what_real_pictures_are(tmp_path: Path) -> None:
    (tmp_path / "people").mkdir()
    outcome = CliRunner().invoke(commands, ["all", str(tmp_path / "people"), "--out", str(tmp_path / "out")])
    assert isinstance(outcome.exception, InputError)
    assert "about-data" in outcome.exception.hint


@pytest.mark.slow
def test_all_runs_end_to_end_on_drawn_people_and_opens_no_door(tmp_path: Path) -> None:
    """What a newcomer starts: one command, no data, a minute or two, and a model the daemon refuses."""
    for needed in ("tensorflow", "ai_edge_quantizer", "ai_edge_litert"):
        pytest.importorskip(needed)
    made = run("all", "--out", str(tmp_path / "all"))
    assert made.returncode == 0, made.stderr[-3000:]
    assert "THE MODEL WILL OPEN NO DOOR" in made.stdout
    manifest = json.loads((tmp_path / "all" / "models" / "siamese.json").read_text())
    assert manifest["opens_doors"] is False
    assert {"fmr", "fnmr", "far_per_attempt", "frr_per_attempt"} <= set(manifest["rates"])
    assert (tmp_path / "all" / "report.html").stat().st_size > 50_000
    card = (tmp_path / "all" / "models" / "README.md").read_text()
    assert "A toy" in card
    evaluated = run(
        "evaluate", str(tmp_path / "all" / "models" / "siamese.tflite"),
        "--data", str(tmp_path / "all" / "crops"), "--json", "--resamples", "20",
    )  # fmt: skip
    assert json.loads(evaluated.stdout)["figures"]["auc"]["value"] > 0.6
    again = run("all", "--out", str(tmp_path / "all"))
    assert again.returncode == 0, again.stderr[-3000:]
    assert "siamese.tflite is there already" in again.stdout
    keras_file = next((tmp_path / "all" / "run").glob("*.keras"))
    by_keras = run(
        "evaluate", str(keras_file), "--data", str(tmp_path / "all" / "crops"), "--json", "--resamples", "20"
    )
    assert json.loads(by_keras.stdout)["figures"]["auc"]["value"] > 0.6


BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"tqdm", "keras", "tensorflow", "matplotlib"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
from facelatch_training.cli.root import main
main()
"""
"""The program where only what the door needs is installed."""


def test_without_the_extra_a_command_names_what_installs_it(tmp_path: Path) -> None:
    write(tmp_path / "people" / "p0" / "0.png", 0, 0)
    paths = os.pathsep.join(str(REPO / folder) for folder in ("daemon", "training"))
    arguments = ["prepare", str(tmp_path / "people"), "--out", str(tmp_path / "set"), "--aligned"]
    shown = subprocess.run(
        [sys.executable, "-c", BLOCKED, *arguments],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    assert shown.returncode == InputError.exit_code
    assert "tqdm is not installed here" in shown.stderr
    assert "sh deploy/venv.sh train" in shown.stderr
    assert "Traceback" not in shown.stderr


def test_what_installs_the_training_is_there_and_the_pages_say_the_same() -> None:
    """No page names a package that no index has."""
    assert (REPO / "deploy" / "venv.sh").is_file()
    for page in ("README.md", "training/README.md"):
        text = (REPO / page).read_text(encoding="utf-8")
        assert "pip install facelatch" not in text
        assert "pip install 'facelatch" not in text
        assert "sh deploy/venv.sh train" in text


def test_prepare_and_fit_say_when_too_few_people_are_left_to_judge_by(tmp_path: Path) -> None:
    """Before the training, not in the small print after it."""
    for person in range(8):
        for number in (0, 10):
            write(tmp_path / "people" / f"p{person}" / f"{number}.png", person, number)
    options = ["--out", str(tmp_path / "set"), "--aligned", "--validation", "0.5"]
    outcome = CliRunner().invoke(commands, ["prepare", str(tmp_path / "people"), *options])
    assert outcome.exit_code == 0, outcome.output
    assert "people to judge by: error rates of so few say little" in outcome.output
    fitted = CliRunner().invoke(
        commands, ["fit", str(tmp_path / "set"), "--run", str(tmp_path / "run"), "--recipe", __file__]
    )
    assert "people to judge by" in fitted.output
    assert of_few(10) == ""
    assert of_few(1).startswith("1 person to judge by")


def test_report_overwrites_no_card_unasked(tmp_path: Path) -> None:
    """`models/README.md` has figures that took hours; the refusal comes before minutes of measuring."""
    model, card = tmp_path / "siamese.tflite", tmp_path / "README.md"
    model.touch()
    card.write_text("figures")
    outcome = CliRunner().invoke(commands, ["report", str(model), "--data", str(tmp_path)])
    assert isinstance(outcome.exception, InputError)
    assert "exists already" in str(outcome.exception)
    assert "--card" in outcome.exception.hint
    assert card.read_text() == "figures"
    for options in (["--overwrite"], ["--card", str(tmp_path / "mine.md")]):
        outcome = CliRunner().invoke(commands, ["report", str(model), "--data", str(tmp_path), *options])
        assert "exists already" not in str(outcome.exception)


def test_only_the_daemons_way_out_prints() -> None:
    """A name that reaches the terminal by another way is not made visible."""
    folder = REPO / "training" / "facelatch_training"
    printing = [
        f"{file.name}: {line.strip()}"
        for file in sorted(folder.rglob("*.py"), reverse=True)
        for line in file.read_text(encoding="utf-8").splitlines()
        if any(call in line for call in ("click.echo(", "click.secho(", " print(", "sys.stdout"))
    ]
    assert printing == [
        'runtime_check.py: sys.stdout.write(verifier.runtime)',  # read by the export that started it
        'liveness.py: say=lambda line: click.echo(f"\\r{line[:78]:<78}", nl=False),',  # advice of our own
        'data.py: say=lambda line: click.echo(f"\\r{line:<78}", nl=False),',
    ]


def test_a_file_name_cannot_command_the_terminal(tmp_path: Path) -> None:
    shown = run("evaluate", str(tmp_path / "a\x1b[2J.tflite"), "--people", str(tmp_path), "--aligned")
    assert shown.returncode == ModelError.exit_code
    assert "\x1b" not in shown.stderr
    assert "a\\x1b[2J.tflite" in shown.stderr
