"""The door in the virtual machine, and what the kernel says about its lock's line."""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from machine import Machine
from patient import PATIENCE

UNIT, KEEPER = "facelatch.service", "facelatch-lock.service"
LOCK_PIN, BUTTON = 17, "/run/pins/sim_gpio22/pull"
UNLOCK_SECONDS = 8.0
"""Long enough for a fault to find the door unlocked."""
LATEST_SECONDS = 10.0
"""door.max_unlock_seconds, whatever hangs."""

CONFIG = """
[camera]
source = "v4l2"
device = "/dev/video10"
width_px = 320
height_px = 240
search_width_px = 160
search_height_px = 120
rate_fps = 5.0
stale_after_seconds = {stale}
[session]
retry_seconds = 0.0
silence_seconds = 10.0
refusals_before_lockout = 100
cooldown_seconds = 1.0
[enrolment]
timeout_seconds = 300.0
[door]
unlock_seconds = {unlock}
max_unlock_seconds = {latest}
[gpio]
lock_active = "{active}"
"""
"""All else is as shipped. An emulated processor is slow: so are camera and limits, and the pictures are small."""


@dataclass(frozen=True)
class Edge:
    """The lock's line was driven to another level, or claimed at one."""

    at: float
    """Seconds since the machine started."""
    unlocked: bool


class Door:
    """Facelatch in a machine; its relay unlocks at the level `active`."""

    def __init__(self, machine: Machine, active: str = "high") -> None:
        self.machine, self.active = machine, active
        self.run, self.sh, self.until, self.measured = machine.run, machine.sh, machine.until, machine.measured
        self._number: int | None = None  # of the lock's line in the kernel
        self.locked, self.unlocked = ("0", "1") if active == "high" else ("1", "0")

    def configure(self, *, stale: float = 20.0, unlock: float = UNLOCK_SECONDS, **replaced: str) -> None:
        """Writes the configuration; `replaced` are other lines for the keys that it has."""
        text = CONFIG.format(stale=stale, unlock=unlock, latest=LATEST_SECONDS, active=self.active)
        for key, value in replaced.items():
            text = re.sub(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
        self.machine.write("/etc/facelatch/facelatch.toml", text)

    def show(self, clip: str, rate: float = 5.0) -> None:
        """From now on the camera sees this."""
        name = clip if "." in clip else f"{clip}.320x240"
        self.sh(f"echo {name} {rate} >/run/camera.next && mv /run/camera.next /run/camera")

    def press(self, down: bool) -> None:
        """The enrolment button."""
        self.sh(f"echo pull-{'down' if down else 'up'} >{BUTTON}")

    def unit(self, key: str, unit: str = UNIT) -> str:
        """One property of the unit."""
        return self.run("systemctl", "show", unit, "--property", key, "--value")

    def ready(self) -> bool:
        """Whether it serves."""
        return self.unit("ActiveState") == "active"

    def start(self) -> None:
        """Returns when it is ready."""
        self.run("systemctl", "start", UNIT, seconds=60)

    def await_restart(self, restarts: str, what: str) -> None:
        """Waits until systemd has restarted it and it serves again."""
        with self.measured(f"{what} to READY again"):
            self.until(lambda: self.unit("NRestarts") != restarts and self.ready(), 60, "serving again")

    def line(self) -> str:
        """The level on the lock's line."""
        return self.run("cat", f"/run/pins/sim_gpio{LOCK_PIN}/value")

    def until_line(self, value: str, limit: float, *command: str) -> float:
        """Runs `command`; after how many seconds of the machine the line had the value."""
        return float(self.run("test-until", value, str(limit), *command, seconds=limit + 20))

    def attacked(self, what: str, *command: str) -> float:
        """Attacks; after how many seconds of the machine the line was driven locked, by the kernel's trace."""
        at = float(self.run("test-attack", *command, seconds=60))

        def locked() -> float:
            edges = self.edges()
            return next((edge.at for edge in edges if edge.at > at and not edge.unlocked), 0.0)

        assert [edge.unlocked for edge in self.edges() if edge.at < at][-1], f"it was locked before {what}"
        seconds = float(self.until(locked, 10, "driven locked")) - at
        sys.stdout.write(f"measured: {what} while unlocked to driven locked: {seconds:.2f} s\n")
        return seconds

    def events(self, kind: str) -> list[Mapping[str, Any]]:
        """The events of one kind since the machine started, oldest first."""
        self.run("journalctl", "--sync", check=False)
        lines = self.run("journalctl", "-b", "-o", "json", "--no-pager", f"EVENT={kind}", check=False).splitlines()
        return [json.loads(line) for line in lines]

    def faults(self) -> list[str]:
        """The reasons of all faults since the machine started."""
        return [event["REASON"] for event in self.events("fault")]

    @contextmanager
    def expecting(self, kind: str, seconds: float, reason: str | None = None) -> Iterator[None]:
        """Does what is inside, then waits for a new event of this kind."""
        before = len(self.events(kind))
        with self.measured(f"to {kind} {reason or ''}".strip()):
            yield
            self.until(lambda: self._newer(kind, before, reason), seconds, f"{kind} {reason or ''}")

    def _newer(self, kind: str, before: int, reason: str | None) -> bool:
        return any(reason in (None, event.get("REASON")) for event in self.events(kind)[before:])

    def let_in(self, clip: str = "robin", rate: float = 5.0, back_to: str = "porch") -> None:
        """Lets somebody who is enrolled come before the camera; returns with the door just unlocked."""
        self.until(lambda: self.line() == self.locked, 20, "locked")
        self.show(clip, rate)
        try:
            seconds = self.until_line(self.unlocked, 30 * PATIENCE, "true")
        finally:
            self.show(back_to)
        sys.stdout.write(f"measured: {clip} in view to unlocked: {seconds:.1f} s\n")

    def edges(self) -> list[Edge]:
        """Every level the lock's line was driven to since the machine started, from the kernel's trace."""
        lost = self.sh("cat /sys/kernel/tracing/per_cpu/cpu*/stats | grep overrun")
        assert set(re.findall(r"\d+", lost)) == {"0"}, f"the trace lost events: {lost}"
        return self.edges_of(self.run("cat", "/sys/kernel/tracing/trace"))

    def edges_of(self, trace: str) -> list[Edge]:
        """The same from a trace that was kept; repetitions of a level are left out."""
        if self._number is None:
            chips = self.run("cat", "/sys/kernel/debug/gpio")
            (base,) = re.findall(r"GPIOs (\d+)-\d+, parent: platform/gpio-sim", chips)
            self._number = int(base) + LOCK_PIN
        written = re.findall(rf" (\d+\.\d+): gpio_value: {self._number} set (\d)", trace)
        levels = [(float(at), value == self.unlocked) for at, value in written]
        return [Edge(*next(run)) for _, run in itertools.groupby(levels, key=lambda level: level[1])]

    def assert_unlocked_only_when_granted(self) -> None:
        """One unlocking on the wire for each one, and each free passage, in the journal."""
        runs = [edge for edge in self.edges() if edge.unlocked]
        told = self.events("door.unlocked")
        told += [event for event in self.events("mode.changed") if event["VALUE"] == "free"]
        events = sorted(float(event["__MONOTONIC_TIMESTAMP"]) / 1e6 for event in told)
        near = [abs(edge.at - event) < 5 * PATIENCE for edge, event in zip(runs, events, strict=False)]
        assert len(runs) == len(events), f"unlocked on the wire {runs}, in the journal {events}"
        assert all(near), f"unlocked on the wire {runs}, in the journal {events}"


def serving(machine: Machine, active: str) -> Door:
    """The door as a user sets it up: configured, robin restored from an export, enabled and started."""
    door = Door(machine, active)
    door.configure()
    pull = "pull-down" if active == "high" else "pull-up"  # the resistor at the lock's line
    door.sh(f"echo {pull} | tee /etc/test-pull >/run/pins/sim_gpio{LOCK_PIN}/pull")
    door.sh("tar -xOf /dev/vdb people.facelatch >/srv/people.facelatch")
    door.run("runuser", "-u", "facelatch", "--", "facelatch", "people", "import", "/srv/people.facelatch", seconds=60)
    with machine.measured("enabled and started to READY"):
        door.run("systemctl", "enable", "--now", UNIT, seconds=60)
        door.until(door.ready, 60, "READY")
    return door
