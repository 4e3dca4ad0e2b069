"""Faults while somebody is being let in, under a real systemd, with real faces before the files camera.

The faces are the bundled people who do not exist; finder, model, gallery, unit and journal are the real ones. The pins
are mocks, and `spy/sitecustomize.py` notes with which level every process drives them, and when.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.system

SCENARIOS = Path(__file__).resolve().parents[1] / "scenarios"
SPY = Path(__file__).parent / "spy" / "sitecustomize.py"
STATE, UNIT, KEEPER = "/var/lib/facelatch", "facelatch.service", "facelatch-lock.service"
LOCK_PIN, LED_PIN, BUTTON_PIN = 17, 27, 22
RATE_FPS = 10
NEWCOMER, STRANGER = "nobody-5", "nobody-2"
NOT_SOONER, NOT_LATER = 0.3, 3.0
"""Seconds by which the door may lock before or after its time; a busy machine is late."""
LOCKED_WITHIN, WATCHDOG = 1.0, 2.0
"""Seconds from the end of the daemon to the locked line; how much more when the keeper itself has to be ended."""

CONFIG = """
[camera]
source = "files"
device = "{device}"
width_px = 640
height_px = 480
rate_fps = {rate}
stale_after_seconds = {stale}
frozen_after_seconds = 3.0
[door]
unlock_seconds = {unlock}
max_unlock_seconds = {ceiling}
[session]
cooldown_seconds = {cooldown}
retry_seconds = 0.5
refusals_before_lockout = 100
[enrolment]
stuck_after_seconds = 10.0
[gpio]
pin_factory = "mock"
"""
USUAL = {
    "device": "/mnt/shared/newcomer",
    "rate": 10.0,
    "stale": 10.0,
    "unlock": 2.0,
    "ceiling": 10.0,
    "cooldown": 3.0,
}

SPIED = "[Service]\nReadWritePaths=/var/lib/spy\nEnvironment=PYTHONPATH=/opt/spy\n"
"""A drop-in: the daemon, its keeper, and what relocks after them are watched, in a folder that outlives them."""


class Visited:
    """The door of conftest.py with a spy on its pins, and somebody before its camera."""

    def __init__(self, door: Any) -> None:
        self.door, self.run, self.until = door, door.run, door.until
        self.began = time.monotonic()

    def start(self, **settings: Any) -> None:
        """Starts the daemon on recorded frames: `settings` replace values of USUAL."""
        self.door.configure(CONFIG.format(**USUAL | settings))
        self.began = time.monotonic()
        self.door.start()

    def levels(self, since: float = 0.0) -> list[tuple[float, int, int]]:
        """(monotonic seconds, process, level) of every change of the lock's line since a moment, or this start."""
        notes = sorted(self.door.machine.inside("/var/lib/spy").glob("levels-*"))
        lines = [line for note in notes for line in note.read_text().splitlines()]
        noted = [(float(when), int(process), int(level)) for when, process, pin, level in map(str.split, lines)
                 if int(pin) == LOCK_PIN]  # fmt: skip
        return [change for change in sorted(noted) if change[0] >= max(since, self.began)]

    def until_level(self, level: int, seconds: float, since: float = 0.0) -> tuple[float, int]:
        """Waits until the lock's line has been driven to a level; the moment, and the process that did it."""

        def first() -> tuple[float, int] | None:
            return next(
                ((when, process) for when, process, driven in self.levels(since) if driven == level), None
            )

        found: tuple[float, int] = self.until(
            first, seconds, f"the lock's line driven {'high' if level else 'low'}"
        )
        return found

    def until_opened_and_locked(self, seconds: float, since: float = 0.0) -> float:
        """Waits until the door has been unlocked and locked again; returns for how long it was unlocked."""
        opened, _ = self.until_level(1, seconds, since)
        locked, _ = self.until_level(0, seconds, since=opened)
        return locked - opened

    def wire(self, command: str) -> None:
        """A command to the spy in the daemon."""
        code = "import socket,sys; socket.socket(1, 2).sendto(sys.argv[1].encode(), '/var/lib/spy/wires')"
        self.run("python3", "-c", code, command)

    def pid(self) -> str:
        """The daemon's process."""
        return str(self.door.show("MainPID"))

    def enrol(self, name: str) -> int:
        """Enrols who stands before the camera, through the running daemon; returns the command's exit code."""
        self.run("facelatch", "enroll", name, "--camera", check=False)
        return int(self.door.machine.status)


@pytest.fixture(scope="module")
def clips(installed: Any) -> None:
    """Draws who comes to the door, as pictures the container sees in /mnt/shared."""
    sys.path.insert(0, str(SCENARIOS))
    import demo_clip

    shared = installed.shared
    # Who was let in has to be away before the next visit.
    comes_and_goes = itertools.chain(demo_clip.turning_head(NEWCOMER, 60, 1), demo_clip.clip([(None, 3.0)], 2))
    demo_clip.save(comes_and_goes, shared / "newcomer")
    demo_clip.save(demo_clip.turning_head(STRANGER, 24, 1), shared / "stranger")
    random = np.random.default_rng(1)
    demo_clip.save((np.zeros((480, 640, 3), np.uint8) for _ in range(2)), shared / "black")
    demo_clip.save(
        (random.integers(0, 255, (24, 32, 3), dtype=np.uint8) for _ in range(10)), shared / "wrong-size"
    )
    for name in ("newcomer", "stranger", "black", "wrong-size"):
        demo_clip.repeat(shared / name, 300 * RATE_FPS)  # five minutes
    for number, picture in enumerate(sorted((shared / "wrong-size").iterdir())[:30]):
        picture.unlink()  # hard links: the others must not change
        large = random.integers(0, 255, (480, 640, 3), dtype=np.uint8)
        cv2.imwrite(str(picture), large if number % 2 else large[:96, :64])
    installed.run("chmod", "-R", "a+rX", "/mnt/shared", check=False)


@pytest.fixture(scope="module")
def enrolled(installed: Any, clips: None) -> Any:
    """The door after somebody was enrolled for real: face before the camera, `facelatch enroll` on the socket."""
    installed.as_shipped()
    installed.machine.write("/opt/spy/sitecustomize.py", SPY.read_text())
    installed.run("mkdir", "-p", "-m", "1777", "/var/lib/spy")
    installed.change_unit(SPIED + installed.RELOCKED)
    installed.change_unit(SPIED, KEEPER)
    visited = Visited(installed)
    visited.start()
    with installed.measured("enrolment of eight poses by the socket"):
        assert visited.enrol("nick") == 0, installed.machine.output
    assert json.loads(installed.run("facelatch", "people", "show", "nick", "--json"))["references"] == 8
    return installed


@pytest.fixture
def visited(enrolled: Any) -> Visited:
    """The door with the enrolled newcomer before it, once started."""
    enrolled.as_shipped()
    enrolled.change_unit(SPIED + enrolled.RELOCKED)
    enrolled.change_unit(SPIED, KEEPER)
    return Visited(enrolled)


def test_an_enrolled_person_is_let_in_and_the_door_locks_again_in_time(visited: Visited):
    granted, unlocked = len(visited.door.events("visit.granted")), len(visited.door.events("door.unlocked"))
    visited.start()
    seconds = visited.until_opened_and_locked(20)
    assert USUAL["unlock"] - NOT_SOONER < seconds < USUAL["unlock"] + NOT_LATER
    assert visited.door.events("visit.granted")[granted]["PERSON"] == "nick"
    assert visited.door.events("door.unlocked")[unlocked]["PERSON"] == "nick"
    assert visited.levels()[0][2] == 0, "the line is claimed at its safe level"


def test_a_stranger_is_refused_and_the_line_does_not_move(visited: Visited):
    refused = len(visited.door.events("visit.refused"))
    visited.start(device="/mnt/shared/stranger")
    visited.until(lambda: len(visited.door.events("visit.refused")) >= refused + 3, 20, "three refusals")
    assert {level for _, _, level in visited.levels()} == {0}


@pytest.mark.parametrize("name", ["TERM", "KILL", "STOP"])
def test_an_unlocked_door_is_locked_by_its_keeper_whatever_ends_the_daemon(visited: Visited, name: str):
    """Asked by the daemon, long before its time, or for want of renewal where that can do nothing any more."""
    door = visited.door
    relocked = door.relocked()
    visited.start(unlock=10.0, ceiling=10.0)
    visited.until_level(1, 20)
    pid, keeper = visited.pid(), door.show("MainPID", KEEPER)
    sent = time.monotonic()
    door.run("kill", f"-{name}", pid)
    locked, by = visited.until_level(0, 5.0, since=sent)
    sys.stdout.write(f"measured: SIG{name} while unlocked to the line driven locked: {locked - sent:.1f} s\n")
    assert str(by) == keeper
    assert locked - sent < LOCKED_WITHIN
    assert visited.levels(sent)[0] == (locked, by, 0), "nothing drove it unlocked in between"
    visited.until(lambda: door.relocked() == relocked + 1, 30, "the unit's relock has ended well")
    with door.measured(f"SIG{name}: relocked to READY again"):
        door.until(lambda: door.show("NRestarts") != "0" and door.ready(), 15, "restarted and ready")
    assert (visited.pid() != pid, door.show("MainPID", KEEPER)) == (True, keeper)
    if name == "STOP":
        assert "Watchdog timeout" in door.run("journalctl", "-u", UNIT, "--no-pager", "-n", "60")


def test_a_loop_that_hangs_while_unlocked_is_locked_for_want_of_renewal(visited: Visited):
    """The driver of the LED never returns; the keeper needs neither the loop nor any thread of the daemon."""
    visited.start(unlock=8.0, ceiling=10.0)
    visited.until_level(1, 20)
    hung = time.monotonic()
    visited.wire(f"hang {LED_PIN}")
    locked, by = visited.until_level(0, 12, since=hung)
    sys.stdout.write(f"measured: loop hung while unlocked to locked: {locked - hung:.1f} s\n")
    assert by == int(visited.door.show("MainPID", KEEPER))
    assert locked - hung < LOCKED_WITHIN
    visited.door.run("systemctl", "kill", "--signal=KILL", UNIT)


@pytest.mark.parametrize("name", ["KILL", "STOP"])
def test_an_unlocked_door_is_locked_by_systemd_whatever_ends_its_keeper(visited: Visited, name: str):
    """By the relock of the keeper's own unit; the daemon ends with a fault, and both come back."""
    door = visited.door
    visited.start(unlock=10.0, ceiling=10.0)
    visited.until_level(1, 20)
    keeper, faults = door.show("MainPID", KEEPER), len(door.faults())
    sent = time.monotonic()
    door.run("kill", f"-{name}", keeper)
    locked, by = visited.until_level(0, 10.0, since=sent)
    sys.stdout.write(f"measured: SIG{name} of the keeper while unlocked to driven locked: {locked - sent:.1f} s\n")
    assert str(by) != keeper
    assert locked - sent < LOCKED_WITHIN + WATCHDOG
    visited.until(lambda: "gpio" in door.faults()[faults:], 10, "the daemon's fault")
    door.until(lambda: door.show("NRestarts") != "0" and door.ready(), 30, "restarted and ready")


FILL_JOURNAL = """
import contextlib, socket
other = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
other.connect("/run/systemd/journal/socket")
other.setblocking(False)
with contextlib.suppress(BlockingIOError):
    while other.send(b"MESSAGE=one of many that nobody reads"):
        pass
"""


def test_a_journal_that_hangs_keeps_no_door_unlocked(visited: Visited):
    """Its queue is full and stays so. Events are lost meanwhile, which the journal cannot be asked about."""
    visited.start()
    visited.until_level(1, 20)
    visited.run("systemctl", "kill", "--signal=STOP", "systemd-journald.service")
    try:
        visited.run("python3", "-c", FILL_JOURNAL)
        stopped, pid = time.monotonic(), visited.pid()
        for _ in range(2):
            seconds = visited.until_opened_and_locked(20, since=stopped)
            stopped = visited.levels()[-1][0]
            assert seconds < USUAL["unlock"] + NOT_LATER
        assert json.loads(visited.run("facelatch", "status", "--json"))["people"] == 1
    finally:
        visited.run("systemctl", "kill", "--signal=CONT", "systemd-journald.service")
    unlocked = len(visited.door.events("door.unlocked"))
    visited.until(
        lambda: len(visited.door.events("door.unlocked")) > unlocked, 20, "events are written again"
    )
    assert visited.pid() == pid


@contextmanager
def small_journal(visited: Visited, place: str = "/run/log/journal") -> Iterator[None]:
    """With the journal on a disk without any room left."""
    sockets = ("systemd-journald.socket", "systemd-journald-dev-log.socket")
    stop = ("systemctl", "stop", "systemd-journald.service", *sockets, "systemd-journald-audit.socket")
    start = ("systemctl", "start", *sockets, "systemd-journald.service")
    visited.run(*stop, check=False)
    visited.run("mount", "-t", "tmpfs", "-o", "size=2m", "small", place)
    visited.run(*start)
    try:
        visited.run("sh", "-c", f"cat /dev/zero >{place}/fill", check=False)
        yield
    finally:
        visited.run(*stop, check=False)
        visited.run("umount", "--lazy", place)
        visited.run(*start)


def test_a_full_disk_under_the_journal_keeps_no_door_unlocked(visited: Visited):
    with small_journal(visited):
        assert visited.run("df", "--output=avail", "/run/log/journal").split()[-1] == "0"
        visited.start()
        pid, since = visited.pid(), 0.0
        for _ in range(2):
            assert visited.until_opened_and_locked(20, since) < USUAL["unlock"] + NOT_LATER
            since = visited.levels()[-1][0]
        assert visited.pid() == pid
        assert visited.run("df", "--output=avail", "/run/log/journal").split()[-1] == "0"
    unlocked = len(visited.door.events("door.unlocked"))
    visited.until(
        lambda: len(visited.door.events("door.unlocked")) > unlocked, 20, "events are written again"
    )


def test_an_enrolment_that_finds_the_disk_full_says_so_and_leaves_nothing(visited: Visited):
    """And the next one, when there is room again, is saved and lets in."""
    visited.run(
        "mount", "-t", "tmpfs", "-o", "size=768k,mode=700,uid=facelatch,gid=facelatch", "small", STATE
    )
    failed, saved = (
        len(visited.door.events("enrolment.save_failed")),
        len(visited.door.events("enrolment.saved")),
    )
    try:
        visited.start()
        pid = visited.pid()
        visited.run("sh", "-c", f"cat /dev/zero >{STATE}/fill", check=False)
        assert visited.enrol("nina") != 0
        assert len(visited.door.events("enrolment.save_failed")) == failed + 1
        assert json.loads(visited.run("facelatch", "people", "list", "--json")) == []
        assert {level for _, _, level in visited.levels()} == {0}
        visited.run("rm", f"{STATE}/fill")
        with visited.door.measured("disk full no longer: enrolment"):
            assert visited.enrol("nina") == 0, visited.door.machine.output
        assert len(visited.door.events("enrolment.saved")) == saved + 1
        visited.until_level(1, 20)
        assert visited.pid() == pid
    finally:
        visited.run("systemctl", "stop", UNIT, check=False)
        visited.run("umount", STATE)


@pytest.mark.parametrize("source", ["black", "wrong-size"])
def test_pictures_without_anybody_in_them_are_no_fault_and_open_nothing(visited: Visited, source: str):
    """Black ones may repeat for longer than a frozen picture may; sizes may change from one to the next."""
    faults = len(visited.door.faults())
    visited.start(device=f"/mnt/shared/{source}")
    pid, ready = visited.pid(), time.monotonic()
    visited.until(lambda: time.monotonic() > ready + 4.0, 5, "longer than frozen_after_seconds")
    assert json.loads(visited.run("facelatch", "status", "--json"))["people"] == 1
    assert (visited.pid(), visited.door.faults()[faults:]) == (pid, [])
    assert {level for _, _, level in visited.levels()} == {0}


def test_a_camera_slower_than_allowed_is_a_fault(visited: Visited):
    """Every frame shows the enrolled person, but the newest is always older than `camera.stale_after_seconds`."""
    faults = len(visited.door.faults())
    visited.start(rate=1.0, stale=0.4)
    with visited.door.measured("camera too slow to fault camera_stale"):
        visited.until(lambda: "camera_stale" in visited.door.faults()[faults:], 10, "camera_stale")
    assert {level for _, _, level in visited.levels()} == {0}


def test_a_slow_camera_within_the_limit_lets_in(visited: Visited):
    visited.start(rate=2.0, stale=1.5)
    assert visited.until_opened_and_locked(30) < USUAL["unlock"] + NOT_LATER


def test_a_bouncing_contact_starts_no_enrolment(visited: Visited):
    """The mock pins do not debounce: every bounce reaches the daemon."""
    armed = len(visited.door.events("enrolment.armed"))
    visited.start(device="/mnt/shared/black")
    begin = time.monotonic()
    visited.until(
        lambda: visited.wire(f"{BUTTON_PIN} " + "lh" * 200) or time.monotonic() > begin + 4.0, 5, "bounced"
    )
    assert len(visited.door.events("enrolment.armed")) == armed
    visited.wire(f"{BUTTON_PIN} l")
    visited.until(lambda: len(visited.door.events("enrolment.armed")) > armed, 8, "a held button does")
    visited.wire(f"{BUTTON_PIN} h")


def test_a_stuck_button_is_reported_and_enrols_nobody(visited: Visited):
    stuck, aborted = len(visited.door.events("button.stuck")), len(visited.door.events("enrolment.aborted"))
    visited.start(device="/mnt/shared/stranger")
    pressed = time.monotonic()
    visited.wire(f"{BUTTON_PIN} l")
    visited.until(lambda: len(visited.door.events("button.stuck")) > stuck, 15, "button.stuck")
    sys.stdout.write(f"measured: button down to button.stuck: {time.monotonic() - pressed:.1f} s of 10\n")
    assert [event["REASON"] for event in visited.door.events("enrolment.aborted")[aborted:]] == [
        "button_stuck"
    ]
    assert len(json.loads(visited.run("facelatch", "people", "list", "--json"))) == 1
    assert {level for _, _, level in visited.levels()} == {0}
