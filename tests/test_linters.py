"""Linters and strict types are ordinary tests; so is that nothing of one machine is in a committed file."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

REPO = Path(__file__).resolve().parents[1]

EVERYWHERE = (
    "bin boot dev etc lib lib64 media mnt nowhere opt proc run sbin srv sys tmp usr var home/pi home/user home/you"
    " account aim enrolment lockout people prove settings static welcome"  # the console's pages
)

PLACES_OF_ONE_MACHINE = re.compile(
    rf"(?:^|(?<=[\s'`=(:,])|(?<=[\s=(:,]\"))/(?!(?:{EVERYWHERE.replace(' ', '|')})\b)[a-z]+/\w"
    r"|file:///\w+"
    r"|https?://\S*(?:artifactory|nexus|devpi|jfrog|(?<!files\.)pypi\.(?!org\b)|/simple\b(?<!pypi\.org/simple))"
)
"""Absolute paths that only the author's machine has, and package indexes other than the public one."""

BIOMETRIC_SUFFIXES = {".npy", ".npz", ".db", ".sqlite", ".sqlite3", ".tar", ".onnx", ".h5", ".keras"}
"""Data sets, galleries and other people's weights are never committed."""

OUR_WEIGHTS = {"models/siamese.keras", "models/finder.keras", "models/refiner.keras", "models/liveness.keras"}
"""What users fine-tune from; trained here."""

RUFF, MYPY = ("ruff", "check", "--quiet", "."), ("mypy", "--strict")

LARGEST_BYTES = 12_000_000


def tracked() -> list[Path]:
    """The files under version control; in an unpacked archive, which has none, all that are not hidden."""
    git = shutil.which("git")
    if git and (REPO / ".git").exists():
        listed = subprocess.run([git, "ls-files", "-z"], cwd=REPO, capture_output=True, check=True).stdout
        return [REPO / name for name in listed.decode().split("\0") if name and (REPO / name).is_file()]
    hidden = {".venv", ".git", "__pycache__", "runs", "build", "dist"}
    return [path for path in REPO.rglob("*") if path.is_file() and not hidden & set(path.relative_to(REPO).parts)]


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def tool(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed: pip install '.[dev]'")


def test_ruff_finds_nothing():
    tool("ruff")
    run(sys.executable, "-m", *RUFF)


@pytest.mark.slow
def test_mypy_strict_finds_nothing():
    if int(np.__version__.split(".")[0]) >= 2:
        pytest.skip("types are checked against the stubs of numpy 1, the older of the two supported: run under 3.11")
    tool("mypy")
    run(sys.executable, "-m", *MYPY)


def test_shellcheck_finds_nothing():
    # The environment's own, which is not on the path when its interpreter is called by name.
    shellcheck = shutil.which("shellcheck", path=Path(sys.executable).parent) or shutil.which("shellcheck")
    scripts = [str(path) for path in tracked() if _is_shell(path)]
    if shellcheck is None:
        pytest.skip(f"shellcheck is not installed, {len(scripts)} scripts are unchecked: apt install shellcheck")
    if scripts:
        run(shellcheck, "-x", *scripts)


def test_every_shell_script_is_at_least_valid_shell():
    for path in tracked():
        if _is_shell(path):
            shell = "bash" if b"bash" in path.read_bytes().split(b"\n", 1)[0] else "sh"
            run(shell, "-n", str(path))


def test_no_committed_file_names_a_place_of_one_machine():
    found = []
    for path in tracked():
        if path == Path(__file__):
            continue  # the rule itself
        for number, line in enumerate(_text_of(path).splitlines(), 1):
            if match := PLACES_OF_ONE_MACHINE.search(line):
                found.append(f"{path.relative_to(REPO)}:{number}: {match[0]}")
    assert found == []


def test_the_hooks_before_a_commit_run_the_linters_of_these_tests_and_no_others():
    """From the same environment: a version of its own would find other faults than the tests do."""
    hooks = (REPO / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert re.findall(r"repo: (.*)", hooks) == ["local"]
    assert set(re.findall(r"language: (.*)", hooks)) == {"system"}
    assert re.findall(r"entry: (.*)", hooks) == [
        *(f".venv/bin/python -m {' '.join(linter)}" for linter in (RUFF, MYPY)),
        ".venv/bin/shellcheck -x",
    ]


@pytest.mark.parametrize(
    "line",
    ["/data/x/y", "cd /root/z", 'open("/home/anna/code")', "-i https://pypi.corp.example/simple", "file:///srv/wheels"],
)
def test_a_place_of_one_machine_would_be_seen(line: str):
    assert PLACES_OF_ONE_MACHINE.search(line)


@pytest.mark.parametrize(
    "line", ["/home/pi/facelatch", "https://pypi.org/simple", "a/data/b", "/usr/lib/x", "~/data/y", "and/or/not"]
)
def test_a_place_everybody_has_is_fine(line: str):
    assert not PLACES_OF_ONE_MACHINE.search(line)


def test_no_data_set_gallery_or_foreign_weights_are_committed():
    found = {str(path.relative_to(REPO)) for path in tracked() if path.suffix in BIOMETRIC_SUFFIXES}
    assert found <= OUR_WEIGHTS


def test_no_committed_file_is_huge():
    assert [str(path.relative_to(REPO)) for path in tracked() if path.stat().st_size > LARGEST_BYTES] == []


def test_nothing_stands_at_the_top_but_what_belongs_there():
    allowed = {"daemon", "training", "deploy", "tests", "models", "config"}
    allowed |= {"pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE"}
    top = {path.relative_to(REPO).parts[0] for path in tracked()}
    assert {name for name in top if not name.startswith(".")} - allowed == set()


def _is_shell(path: Path) -> bool:
    if path.suffix == ".sh":
        return True
    if path.suffix:
        return False
    with path.open("rb") as file:
        first = file.readline(80)
    return first.startswith(b"#!") and first.split()[-1].endswith(b"sh")


def _text_of(path: Path) -> str:
    data = path.read_bytes()
    return "" if b"\0" in data else data.decode("utf-8", errors="replace")
