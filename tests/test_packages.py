"""What is installed and built: nothing from the current folder, each download by its hash, twice the same bytes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPO = Path(__file__).resolve().parents[1]
DEPLOY = REPO / "deploy"
LOCKS = sorted((DEPLOY / "requirements").glob("3.*.txt"))
SECONDS = 300
"""Far more than any of these takes, also on a busy machine."""


def run(*command: str | Path, cwd: Path | str = "/", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        env=os.environ | environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


# ---- What lies about


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What the installer reads of a checkout, in a folder with a space in its name."""
    folder = tmp_path / "a check out"
    for name in ("deploy", "config", "daemon"):
        shutil.copytree(REPO / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    return folder


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder of files that Python or a shell would take for programs and libraries; each leaves a mark."""
    folder, mark = tmp_path / "down loads", tmp_path / "mark"
    for name in ("numpy", "click", "re", "json", "runpy", "platform", "facelatch", "packaging", "sitecustomize"):
        (folder / f"{name}.py").parent.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    for name in ("venv", "pip", "ensurepip", "setuptools"):
        (folder / name).mkdir()
        for file in ("__init__.py", "__main__.py"):
            (folder / name / file).write_text(f"open({str(mark)!r}, 'w').close()\n")
    for name in ("python3", "dirname", "mktemp", "sed", "install", "git", "cmp", "systemctl", "dpkg"):
        (folder / name).write_text(f"#!/bin/sh\n: >'{mark}'\n")
        (folder / name).chmod(0o755)
    return folder


def test_the_installer_runs_nothing_of_the_folder_it_is_started_in(tmp_path: Path, checkout: Path, hostile: Path):
    """Nor does a space in a path stop it, nor a PATH or PYTHONPATH that begins in that folder."""
    root = tmp_path / "a root"
    for options in ([], ["--uninstall"]):
        done = run(
            "sh", checkout / "deploy" / "install.sh", "--root", root, "--prefix", "/usr/lo cal", *options,
            cwd=hostile, PYTHON=sys.executable, PATH=f".::{os.environ['PATH']}", PYTHONPATH=str(hostile),
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert (root / "usr/lo cal/lib/systemd/system/facelatch.service").exists() == (not options)
    assert not (tmp_path / "mark").exists()


def test_the_hostile_folder_would_be_noticed(tmp_path: Path, hostile: Path):
    run(sys.executable, "-m", "venv", "x", cwd=hostile)
    assert (tmp_path / "mark").exists()


def test_names_given_to_the_installer_may_be_relative(tmp_path: Path):
    done = run("sh", DEPLOY / "install.sh", "--root", "here", cwd=tmp_path, PYTHON=sys.executable)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "here/etc/facelatch/facelatch.toml").is_file()


@pytest.mark.parametrize("script", ["install.sh", "build-wheel.sh", "build-deb.sh", "lock.sh", "venv.sh"])
def test_no_script_lets_python_look_into_the_current_folder(script: str):
    """Isolated (-I) it imports neither from there nor from the user's own packages, and follows no PYTHON variable."""
    text = (DEPLOY / script).read_text(encoding="utf-8").replace("\\\n", " ")
    calls = re.findall(r'(?:python|(?<!find )"\$1)"? (-[a-zA-Z]+ .*|"\$source.*)', text)
    assert calls or script == "build-deb.sh"
    assert [call for call in calls if not call.startswith("-I ")] == []


# ---- The lock


def blocks(lock: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Of each package its name, its version and its hashes."""
    text = lock.read_text(encoding="utf-8").replace("\\\n", "")
    for line in filter(lambda line: line and not line.startswith("#"), text.splitlines()):
        found = re.fullmatch(r"([a-z0-9-]+)==([\w.+!]+)((?:\s+--hash=sha256:[0-9a-f]{64})+)", line)
        assert found is not None, f"{lock.name}: {line[:80]}: neither a version nor an address may be open"
        yield found[1], found[2], re.findall("sha256:([0-9a-f]{64})", found[3])


def test_there_is_a_lock_for_every_python_and_processor():
    assert {lock.stem for lock in LOCKS} == {
        f"{python}-{processor}" for python in ("3.11", "3.12", "3.13") for processor in ("aarch64", "x86_64")
    }


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_a_lock_holds_what_pyproject_asks_for(lock: Path):
    """In versions that it allows; `sh deploy/lock.sh` writes it anew."""
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    locked = {name: version for name, version, _ in blocks(lock)}
    python, _, processor = lock.stem.partition("-")
    place = {"python_version": python, "python_full_version": f"{python}.2", "platform_machine": processor}
    extras = project["optional-dependencies"]
    chosen = [text for name in ("pi", "console", "factors", "fleet") for text in extras[name]]
    for text in project["dependencies"] + chosen:
        wanted = Requirement(text)
        if wanted.marker is None or wanted.marker.evaluate(place):
            name = canonicalize_name(wanted.name)
            assert name in locked, f"{name} is not locked: sh deploy/lock.sh"
            assert wanted.specifier.contains(locked[name]), f"{wanted}, locked {locked[name]}: sh deploy/lock.sh"


def test_the_tool_that_builds_is_locked_too():
    assert [name for name, _, _ in blocks(DEPLOY / "requirements" / "build.txt")] == ["setuptools"]


def test_a_file_with_another_hash_is_not_installed(tmp_path: Path):
    """What pip is asked for with the options of the installer."""
    options = re.search(r"--no-deps --require-hashes[ \\\n]+--only-binary :all:", (DEPLOY / "install.sh").read_text())
    assert options is not None
    wheel = tmp_path / "click-8.5.1-py3-none-any.whl"
    wheel.write_bytes(b"not what was locked")
    wanted = tmp_path / "wanted.txt"
    wanted.write_text(f"click==8.5.1 --hash=sha256:{'0' * 64}\n")
    done = run(
        sys.executable, "-I", "-m", "pip", "install", *options[0].replace("\\", "").split(), "--no-index",
        "--find-links", tmp_path, "--target", tmp_path / "x", "--requirement", wanted,
    )  # fmt: skip
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr


# ---- The package


@pytest.mark.slow
def test_the_package_built_twice_has_the_same_bytes(tmp_path: Path):
    """From another folder, with another umask, at another time: whoever has the sources can tell what is in it."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is missing: whether the package can be reproduced was NOT tested")
    other = tmp_path / "an other"
    for name in ("deploy", "config", "daemon", "training", "models"):
        shutil.copytree(REPO / name, other / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPO / name, other)
    built = []
    for number, source in enumerate((REPO, other)):
        script = f"umask 0{number}7; exec sh '{source}/deploy/build-deb.sh' '{tmp_path}/{number}'"
        done = run("sh", "-c", script, PYTHON=sys.executable, SOURCE_DATE_EPOCH="1700000000")
        assert done.returncode == 0, done.stdout + done.stderr
        (package,) = (tmp_path / str(number)).glob("*.deb")
        built.append(package.read_bytes())
    assert built[0] == built[1]
