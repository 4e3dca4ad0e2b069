"""A door on drawn people in processes of this machine, with `robin` enrolled, for what stands beside the daemon."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.scenarios.several_doors import free_port as free_port
from tests.scenarios.several_doors import resident_mb

REPO = Path(__file__).resolve().parents[2]
PATIENCE = float(os.environ.get("FACELATCH_PATIENCE", "1"))
"""By how much this machine may be slower than an idle one."""


def until(
    condition: Callable[[], Any],
    what: str,
    seconds: float = 20.0,
    *,
    passing: tuple[type[Exception], ...] = (),
) -> Any:
    """What `condition` gives as soon as it is true; where it raises one of `passing` it is asked again."""
    deadline = time.monotonic() + seconds * PATIENCE
    while True:
        with suppress(*passing):
            if found := condition():
                return found
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)


class House:
    """The configuration, the enrolment, and the processes that a test starts."""

    def __init__(self, work: Path, *, camera: str, sections: str, seen: Path | None = None) -> None:
        """`camera`: further lines of [camera]; `sections`: of the configuration, beside those that all need.

        `seen`: the folder of a house whose drawn people this one sees as well; then nobody is enrolled.
        """
        self.work, self.config = work, work / "facelatch.toml"
        self.config.write_text(f"""
[camera]
source = "files"
device = "{seen or work}/demo/clip"
{camera}
[gpio]
pin_factory = "mock"
[storage]
state_directory = "{work}/state"
[control]
socket = "{work}/control.sock"
group = ""
{sections}
""")
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        if seen is None:
            subprocess.run([sys.executable, "tests/scenarios/demo_clip.py", work / "demo"], cwd=REPO, check=True)
            self.facelatch("enroll", "robin", "--images", f"{work}/demo/enrol")

    def command(self, *words: str) -> list[str]:
        """`facelatch WORDS` with this configuration."""
        return [sys.executable, "-m", "facelatch", "--config", str(self.config), *words]

    def facelatch(self, *words: str) -> str:
        """What it prints; fails the test when it fails."""
        done = subprocess.run(self.command(*words), cwd=REPO, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, name: str, command: list[str], **environment: str) -> None:
        """A process that goes on, and is ended by `close`; what it prints is added to NAME.log."""
        with (self.work / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                command, cwd=REPO, stdout=log, stderr=log, env={**os.environ, **environment}
            )

    def start_door(self) -> None:
        """The daemon, whose camera sees the drawn clip again and again."""
        self.start("door", self.command("run", "--dry-run", "--loop"))

    def resident_mb(self, name: str) -> float:
        """Memory of a running process; printed, too, for the table in README.md."""
        resident = resident_mb(self.running[name].pid)
        sys.stdout.write(f"measured: {name}'s resident memory {resident:.0f} MB\n")
        return resident

    def close(self) -> None:
        """Ends them all."""
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            process.wait(20)
