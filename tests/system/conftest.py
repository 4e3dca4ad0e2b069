"""A machine for the system tests: systemd as PID 1 in namespaces, with Facelatch installed by its own installer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]
sys.path[:0] = [str(HERE)]

from patient import PATIENCE, Patient  # noqa: E402

CONFIG = """
[camera]
source = "files"
device = "/srv/clip"
width_px = 160
height_px = 120
search_width_px = 160
search_height_px = 120
rate_fps = 5.0
stale_after_seconds = 10.0
[gpio]
pin_factory = "mock"
"""
"""The door on this machine: recorded noise for a camera, pins that drive nothing. Everything else is as shipped."""

UNIT, KEEPER = "facelatch.service", "facelatch-lock.service"


class Machine(Patient):
    """A booted container; `run` runs a command in it."""

    def __init__(self, work: Path, shared: Path) -> None:
        # It ends with this process, however that ends.
        leashed = ("setpriv", "--pdeathsig", "KILL", "bash", HERE / "container.sh", work, shared)
        self._boot = subprocess.Popen(leashed, start_new_session=True)
        self._group_file = work / "cgroup"
        try:
            self.pid1 = self.until(self._find_pid1, 10, "the namespaces are there")
            self.until(self._booted, 20, "booted")
        except BaseException:
            self.close()
            raise

    def _find_pid1(self) -> int:
        if self._boot.poll() is not None:
            raise RuntimeError(f"container.sh ended with {self._boot.returncode}")
        children = Path(f"/proc/{self._boot.pid}/task/{self._boot.pid}/children").read_text().split()
        # Before systemd is executed it is a shell that mounts.
        ready = children and Path(f"/proc/{children[0]}/comm").read_text().strip() == "systemd"
        return int(children[0]) if ready else 0

    def _booted(self) -> bool:
        return self.run("systemctl", "is-active", "basic.target", check=False) == "active"

    def run(self, *command: str, check: bool = True, stdin: str | None = None, **environment: str) -> str:
        """Standard output of `command` in the container, stripped; fails the test when it fails."""
        variables = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", **environment}
        enter = ["nsenter", "-t", str(self.pid1), "-m", "-u", "-i", "-n", "-p", "-C", "--root", "--wd", "env", "-i"]
        done = subprocess.run(
            [*enter, *(f"{key}={value}" for key, value in variables.items()), *command],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=100 * PATIENCE,
            check=False,
        )
        self.status = done.returncode
        self.output = done.stdout + done.stderr
        if check:
            assert done.returncode == 0, f"{' '.join(command)}: exit code {done.returncode}\n{self.output}"
        return done.stdout.strip()

    def inside(self, path: str) -> Path:
        """A file of the machine, as seen from here."""
        return Path(f"/proc/{self.pid1}/root{path}")

    def close(self) -> None:
        """Ends everything in it; its files are gone with it."""
        self._boot.kill()
        self._boot.wait()
        with suppress(OSError):
            group = Path(self._group_file.read_text().strip())
            for _ in range(50):
                for folder in sorted(group.rglob("*"), reverse=True):
                    if folder.is_dir():
                        with suppress(OSError):
                            folder.rmdir()
                with suppress(OSError):
                    group.rmdir()
                if not group.exists():
                    return
                time.sleep(0.1)


class Door:
    """Facelatch on a machine."""

    RELOCKED = "[Service]\nExecStopPost=/bin/echo the lock was driven safe\n"
    """For `change_unit`: runs after the unit's own relock, and only when that has ended well."""

    def __init__(self, machine: Machine, shared: Path) -> None:
        self.machine, self.run, self.until, self.measured = machine, machine.run, machine.until, machine.measured
        self.shared = shared
        (self.wheel,) = (shared / "wheels").glob("facelatch-*.whl")

    def install(self, *options: str, wheel: str = "", check: bool = True) -> str:
        """The installer's own steps, with the packages of this machine's apt and a folder of wheels."""
        wheel = wheel or f"/mnt/shared/wheels/{self.wheel.name}"
        return self.run(
            *("sh", "/mnt/shared/repo/deploy/install.sh", "--no-apt", "--wheel", wheel, *options),
            check=check,
            PIP_NO_INDEX="1",
            PIP_FIND_LINKS="/mnt/shared/wheels",
        )

    def configure(self, config: str = CONFIG) -> None:
        """Writes the configuration file."""
        self.machine.write("/etc/facelatch/facelatch.toml", config)

    def change_unit(self, lines: str, unit: str = UNIT) -> None:
        """A drop-in, gone after the test."""
        self.machine.write(f"/run/systemd/system/{unit}.d/test.conf", lines)
        self.run("systemctl", "daemon-reload")

    def as_shipped(self) -> None:
        """Stopped, configured for this machine, with the unit as it is installed."""
        self.run("systemctl", "stop", UNIT, KEEPER, check=False)
        self.run("systemctl", "reset-failed", UNIT, KEEPER, check=False)
        self.run("rm", "-rf", f"/run/systemd/system/{UNIT}.d", f"/run/systemd/system/{KEEPER}.d")
        self.run("systemctl", "daemon-reload")
        self.configure()

    def start(self, *, check: bool = True) -> None:
        """Returns when it is ready, or has failed."""
        self.run("systemctl", "start", UNIT, check=check)

    def show(self, key: str, unit: str = UNIT) -> str:
        """One property of the unit."""
        return self.run("systemctl", "show", unit, "--property", key, "--value")

    def ready(self) -> bool:
        """Whether it serves."""
        return self.show("ActiveState") == "active"

    def events(self, kind: str) -> list[Mapping[str, Any]]:
        """The events of one kind in the journal, oldest first."""
        self.run("journalctl", "--sync", check=False)
        lines = self.run("journalctl", "-o", "json", "--no-pager", f"EVENT={kind}", check=False).splitlines()
        return [json.loads(line) for line in lines]

    def relocked(self) -> int:
        """How often the lock was driven safe after the daemon's end, as long as RELOCKED is in force."""
        self.run("journalctl", "--sync")
        return self.run("journalctl", "-u", UNIT, "-o", "cat", "--no-pager").count("the lock was driven safe")

    def faults(self) -> list[str]:
        """The reasons of all faults so far."""
        return [event["REASON"] for event in self.events("fault")]


def _draw_clip(folder: Path) -> None:
    """Ten pictures of noise, linked two thousand times: more than six minutes in which nothing is repeated at once."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(1)
    for number in range(10):
        cv2.imwrite(str(folder / f"{number}.jpg"), random.integers(0, 255, (120, 160, 3), dtype=np.uint8))
    for number in range(10, 2000):
        (folder / f"{number}.jpg").hardlink_to(folder / f"{number % 10}.jpg")


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """Facelatch freshly installed on a machine that never had it; the machine lives as long as the session."""
    wheels = os.environ.get("FACELATCH_WHEELS")
    if wheels is None:
        pytest.skip("the system tests are run by tests/system/run.sh, which prepares the wheels")
    shared, work = tmp_path_factory.mktemp("shared"), tmp_path_factory.mktemp("machine")
    shutil.copytree(wheels, shared / "wheels")
    for folder in ("deploy", "daemon", "config"):
        shutil.copytree(REPO / folder, shared / "repo" / folder, ignore=shutil.ignore_patterns("__pycache__"))
    _draw_clip(shared / "clip")
    # Group and others may read what the daemon's user has to see.
    subprocess.run(["chmod", "-R", "a+rX", shared], check=True)
    try:
        machine = Machine(work, shared)
    except (AssertionError, OSError, RuntimeError) as error:
        pytest.skip(f"systemd cannot be booted in namespaces here, nothing was tested: {error}")
    try:
        machine.run("ln", "-s", "/mnt/shared/clip", "/srv/clip")
        machine.run("rm", "-rf", "/var/lib/facelatch", "/etc/facelatch")  # what this machine itself may have
        door = Door(machine, shared)
        door.install()
        yield door
    finally:
        machine.close()


@pytest.fixture
def door(installed: Door) -> Door:
    """The installed door, stopped and as shipped."""
    installed.as_shipped()
    return installed
