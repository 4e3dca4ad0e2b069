"""The daemon as it is started, on recorded frames at their own pace, while the command line talks to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import demo_clip
import numpy as np
import pytest

from facelatch.app import model_files
from facelatch.config.file import Config
from facelatch.config.shipped import shipped_file

NEWCOMER, STRANGER = "nobody-5", "nobody-2"
PATIENCE_SECONDS = 60.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (
            model_files.siamese_path(Config().model).is_file()
            and shipped_file("models", "finder.tflite").is_file()
        ),
        reason="models/siamese.tflite or models/finder.tflite is not there",
    ),
]


class Door:
    """A daemon with fake pins in a folder of its own, and the commands that reach it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._command = [sys.executable, "-m", "facelatch", "--config", str(home / "facelatch.toml")]
        self._environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self._daemon: subprocess.Popen[str] | None = None

    def configure(self, frames: Path, **session: float) -> None:
        rules = "\n".join(f"{key} = {value}" for key, value in session.items())
        (self.home / "facelatch.toml").write_text(
            f"""
            [camera]
            source = "files"
            device = "{frames}"
            rate_fps = {float(demo_clip.RATE_FPS)}
            [session]
            {rules}
            [storage]
            state_directory = "{self.home}/state"
            [control]
            socket = "{self.home}/control.sock"
            group = ""
            """,
            encoding="utf-8",
        )

    def start(self) -> None:
        with (self.home / "log").open("w") as log:
            self._daemon = subprocess.Popen(
                [*self._command, "run", "--dry-run"], stderr=log, env=self._environment, text=True
            )
        self.wait_until(lambda: "daemon.ready" in self.log)

    @property
    def log(self) -> str:
        return (self.home / "log").read_text()

    def ask(self, *arguments: str, exit_code: int = 0) -> Any:
        done = subprocess.run(
            [*self._command, *arguments, "--json"],
            capture_output=True,
            text=True,
            env=self._environment,
            check=False,
        )
        assert done.returncode == exit_code, done.stderr
        return json.loads(done.stdout) if done.stdout else done.stderr

    def begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        """A command that goes on by itself."""
        return subprocess.Popen([*self._command, *arguments], stderr=subprocess.DEVNULL, env=self._environment)

    def second_daemon(self) -> int:
        """What another `run` ends with."""
        again = [*self._command, "run", "--dry-run"]
        return subprocess.run(again, capture_output=True, env=self._environment, check=False).returncode

    def end(self, number: signal.Signals) -> int:
        assert self._daemon is not None
        self._daemon.send_signal(number)
        return self._daemon.wait(PATIENCE_SECONDS)

    def wait_until(self, happened: Callable[[], bool]) -> None:
        assert self._daemon is not None
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not happened():
            assert self._daemon.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)

    def clear_away(self) -> None:
        if self._daemon is not None and self._daemon.poll() is None:
            self._daemon.kill()
            self._daemon.wait()


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    made = Door(tmp_path)
    yield made
    made.clear_away()


def test_a_person_enrolled_through_the_running_daemon_is_let_in_and_sigterm_ends_it_locked(
    door: Door, tmp_path: Path
) -> None:
    demo_clip.save(demo_clip.turning_head(NEWCOMER, 60, 1), tmp_path / "clip")
    demo_clip.repeat(tmp_path / "clip", 60 * 30)
    door.configure(tmp_path / "clip", retry_seconds=0.0)
    door.start()
    enrolled = door.ask("enroll", "nick", "--camera")
    assert (enrolled["person"], enrolled["kept"]) == ("nick", 8)
    assert [(one["name"], one["admin"]) for one in door.ask("people", "list")] == [("nick", False)]
    door.wait_until(lambda: "door.unlocked PERSON=nick" in door.log)
    assert "unlocked" in door.ask("status")["door"]
    assert door.second_daemon() == 8
    door.ask("people", "rename", "nick", "nicole")
    assert len(door.ask("people", "show", "nicole")["poses"]) == 8
    assert "duplicate" in door.ask("enroll", "nick", "--camera", exit_code=9)
    assert door.end(signal.SIGTERM) == 0
    assert "daemon.stopping" in door.log
    assert door.log.count("door.unlocked") == door.log.count("door.locked")
    assert not (tmp_path / "control.sock").exists()


@pytest.mark.parametrize(
    ("how", "reason"), [(signal.SIGKILL, "client_gone"), (signal.SIGINT, "aborted"), (None, "aborted")]
)
def test_an_enrolment_by_the_camera_ends_with_its_command(
    door: Door, tmp_path: Path, how: signal.Signals | None, reason: str
) -> None:
    """Killed, interrupted, or aborted from elsewhere: whoever comes by next is nobody."""
    (tmp_path / "clip").mkdir()
    for number in range(30):
        grain = np.random.default_rng(number).integers(90, 120, (240, 320, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / "clip" / f"{number:03}.png"), grain)
    demo_clip.repeat(tmp_path / "clip", 30 * 30)
    door.configure(tmp_path / "clip")
    door.start()
    command = door.begin("enroll", "mallory", "--camera")
    door.wait_until(lambda: "enrolment.armed" in door.log)
    time.sleep(4.0)  # longer than a silent client is waited for
    assert "enrolment.aborted" not in door.log
    if how is None:
        assert door.ask("enroll", "--abort") == {"aborted": True}
    else:
        command.send_signal(how)
    door.wait_until(lambda: "enrolment.aborted" in door.log)
    assert f"REASON={reason}" in door.log
    command.wait(PATIENCE_SECONDS)
    assert door.end(signal.SIGTERM) == 0


def test_being_killed_ends_no_lockout(door: Door, tmp_path: Path) -> None:
    demo_clip.save(demo_clip.enrolment_pictures(NEWCOMER, 2, 2), tmp_path / "enrol")
    demo_clip.save(demo_clip.turning_head(STRANGER, 30, 3), tmp_path / "clip")
    demo_clip.repeat(tmp_path / "clip", 30 * 30)
    door.configure(tmp_path / "clip", retry_seconds=0.0, refusals_before_lockout=2)
    door.ask("enroll", "nick", "--images", str(tmp_path / "enrol"))
    door.start()
    door.wait_until(lambda: "visit.lockout_started" in door.log)
    assert door.end(signal.SIGKILL) == -signal.SIGKILL
    door.start()
    assert "no attempts" in door.ask("status")["door"]
    assert door.end(signal.SIGTERM) == 0
    assert "door.unlocked" not in door.log
