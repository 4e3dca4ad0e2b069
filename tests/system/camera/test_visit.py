"""Visits to a door whose frames come from real picamera2: the installed daemon, finder, model and loop, mock pins."""

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

import demo_clip
import pytest
import virtual_camera

pytestmark = pytest.mark.system

ROBIN, STRANGER = "nobody-1", "nobody-2"
VISITS = [(None, 1.0), (STRANGER, 2.6), (None, 3.4), (ROBIN, 4.0), (None, 3.0)]
CAMERA_FAULT_EXIT = 5
HERE = Path(__file__).resolve().parent
UNLOCKED, LOCKED = "[door.unlocked PERSON=robin", "[door.locked"


class Door:
    """The daemon, in a process of its own, with a folder of its own."""

    def __init__(self, home: Path, patience: float) -> None:
        self.home, self.patience = home, patience
        (home / "facelatch.toml").write_text(
            f"""
            [camera]
            width_px = 640
            height_px = 480
            [door]
            unlock_seconds = 4.0
            [gpio]
            pin_factory = "mock"
            [storage]
            state_directory = "{home}/state"
            [control]
            socket = "{home}/control.sock"
            group = ""
            """
        )
        self._command = [sys.executable, str(HERE / "run_facelatch.py"), "--config", str(home / "facelatch.toml")]
        # Four frames of each picture: the clip at its own pace.
        rate = str(virtual_camera.SAME_PICTURE_FRAMES * demo_clip.RATE_FPS)
        self._environment = {**os.environ, "FACELATCH_VIRTUAL_FPS": rate, "FACELATCH_VIRTUAL_GRAIN": "yes"}
        self._daemon: subprocess.Popen[str] | None = None

    def ask(self, *arguments: str) -> list[dict[str, Any]]:
        """What a command answers, one record a line."""
        command = [*self._command, *arguments, "--json"]
        for _ in range(3):  # once more where the vendor's pipeline crashed while it was stopped, as in_root.sh does
            done = subprocess.run(
                command, capture_output=True, text=True, env=self._environment, timeout=60 * self.patience, check=False
            )
            if done.returncode not in (-signal.SIGABRT, -signal.SIGSEGV):
                break
        assert done.returncode == 0, done.stdout + done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def start(self) -> None:
        with (self.home / "log").open("w") as log:
            self._daemon = subprocess.Popen([*self._command, "run"], stderr=log, env=self._environment, text=True)
        self.until(lambda: "[daemon.ready" in self.log, 10)

    @property
    def log(self) -> str:
        return (self.home / "log").read_text()

    def until(self, happened: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds * self.patience
        while not happened():
            assert time.monotonic() < deadline, f"not within {seconds * self.patience:.0f} s:\n{self.log}"
            assert self._daemon is not None
            assert self._daemon.poll() is None, self.log
            time.sleep(0.02)

    def end(self, number: signal.Signals | None = None) -> int:
        """Its exit code, after a signal or by itself."""
        assert self._daemon is not None
        if number is not None:
            self._daemon.send_signal(number)
        return self._daemon.wait(10 * self.patience)

    def clear_away(self) -> None:
        if self._daemon is not None and self._daemon.poll() is None:
            self._daemon.kill()
            self._daemon.wait()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, patience: float) -> Path:
    """Robin is enrolled; before the camera a stranger comes first, then Robin, and again."""
    home = tmp_path_factory.mktemp("door")
    demo_clip.save(demo_clip.enrolment_pictures(ROBIN, 8, 1), home / "enrol")
    demo_clip.save(demo_clip.clip(VISITS, 2), home / "clip")
    for number, picture in enumerate(sorted((home / "clip").iterdir())):
        picture.rename(home / "clip" / f"{number}.jpg")  # libcamera counts from zero, without leading ones
    virtual_camera.show(home / "clip")
    Door(home, patience).ask("enroll", "robin", "--images", str(home / "enrol"))
    return home


@pytest.fixture
def door(home: Path, patience: float) -> Iterator[Door]:
    made = Door(home, patience)
    yield made
    made.clear_away()


def test_check_is_content_with_camera_and_model(door: Door):
    """What a user types first, on the stack of trixie."""
    findings = {one["item"]: one for one in door.ask("check")}
    assert "picamera2 delivers 640x480" in findings["camera"]["detail"]
    assert "ai-edge-litert" in findings["model"]["detail"]
    assert ", accelerated" in findings["model"]["detail"]
    assert "1 people" in findings["gallery"]["detail"]


def test_a_stranger_is_refused_and_the_enrolled_person_is_let_in(door: Door):
    """End to end; the door locks again by itself, and SIGTERM ends it well."""
    door.start()
    door.until(lambda: "[visit.refused" in door.log or UNLOCKED in door.log, 10)
    assert "[door.unlocked" not in door.log
    door.until(lambda: UNLOCKED in door.log, 20)
    door.until(lambda: LOCKED in door.log, 10)
    assert door.log.index("[visit.refused") < door.log.index("[visit.granted") < door.log.index(UNLOCKED)
    assert door.end(signal.SIGTERM) == 0
    assert door.log.count("[door.unlocked") == door.log.count(UNLOCKED) == door.log.count(LOCKED)
    assert "[daemon.stopping" in door.log


def test_a_camera_that_stalls_while_the_door_is_unlocked_locks_it_in_time_and_is_opened_again(
    door: Door, cable: Callable[[bool], None]
):
    """It comes out just as Robin is let in: a fault within two seconds, locked; back in, the same process serves."""
    door.start()
    door.until(lambda: UNLOCKED in door.log, 30)
    begin = time.monotonic()
    cable(False)
    door.until(lambda: "[fault" in door.log, 3)
    assert 1.5 < time.monotonic() - begin < 2.5 + door.patience
    door.until(lambda: "[door.locked REASON=fault" in door.log, 3)
    assert "[fault REASON=camera_" in door.log
    cable(True)
    door.until(lambda: "[camera.recovered" in door.log, 30)
    unlocked = door.log.count(UNLOCKED)
    door.until(lambda: door.log.count(UNLOCKED) > unlocked, 30)
    assert door.end(signal.SIGTERM) == 0
    assert door.log.count("[door.unlocked") == door.log.count(LOCKED)


def test_after_the_last_try_it_ends_and_the_next_start_serves_again(door: Door, cable: Callable[[bool], None]):
    """What the restart by systemd finds: the camera is not left busy by the process that died."""
    configuration = door.home / "facelatch.toml"
    configuration.write_text(configuration.read_text().replace("[camera]", "[camera]\nreopen_attempts = 0"))
    door.start()
    cable(False)
    assert door.end() == CAMERA_FAULT_EXIT
    cable(True)
    door.start()
    door.until(lambda: UNLOCKED in door.log, 30)
    assert door.end(signal.SIGTERM) == 0
