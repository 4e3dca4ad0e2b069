"""Loaded by the interpreters of the daemon and its keeper under test: notes what pins are driven to, moves their wires.

Levels are noted in `levels-USER`, a line `MONOTONIC_SECONDS PROCESS PIN LEVEL` whenever a process drives another level
than before: the keeper its lock, everybody else the mock pins of gpiozero. The daemon's own process also obeys
datagrams on the socket `wires`: `22 lh` draws pin 22 low, then lets it go; `hang 27` makes whoever drives pin 27 next
wait for ever, and notes in `hung` since when.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

HOME = Path("/var/lib/spy")
LONGEST_DATAGRAM = 1000

last: dict[int, bool] = {}
pins: dict[int, Any] = {}
hanging: set[int] = set()


def note(number: int, level: bool) -> None:
    if last.get(number) != level:
        last[number] = level
        with (HOME / f"levels-{os.getuid()}").open("a") as levels:
            levels.write(f"{time.monotonic():.3f} {os.getpid()} {number} {int(level)}\n")


def spy_on_the_keeper() -> None:
    from facelatch.keeper.line import MockLine

    drive = MockLine.write

    def driven(line: MockLine, high: bool) -> None:
        drive(line, high)
        note(line.pin, high)

    MockLine.write = driven


def spy_on_the_daemon() -> None:
    from gpiozero.pins.mock import MockPin

    drive, make = MockPin._set_state, MockPin.__init__

    def number_of(pin: MockPin) -> int:
        return int(pin.info.name.removeprefix("GPIO"))

    def made(pin: MockPin, *arguments: object) -> None:
        make(pin, *arguments)
        pins[number_of(pin)] = pin

    def driven(pin: MockPin, value: float) -> None:
        while number_of(pin) in hanging:
            if not (HOME / "hung").exists():
                (HOME / "hung").write_text(f"{time.monotonic():.3f}")
            time.sleep(1)
        drive(pin, value)
        note(number_of(pin), bool(value))

    MockPin._set_state, MockPin.__init__ = driven, made


def obey(wires: socket.socket) -> None:
    while True:
        what, how = wires.recv(LONGEST_DATAGRAM).decode().split()
        if what == "hang":
            hanging.add(int(how))
            continue
        for level in how:
            if level == "l":
                pins[int(what)].drive_low()
            else:
                pins[int(what)].drive_high()


if "facelatch-lock" in sys.orig_argv[1]:
    spy_on_the_keeper()
else:
    spy_on_the_daemon()
if sys.orig_argv[-1] == "run":
    (HOME / "wires").unlink(missing_ok=True)
    wires = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    wires.bind(str(HOME / "wires"))
    threading.Thread(target=obey, args=(wires,), daemon=True).start()
