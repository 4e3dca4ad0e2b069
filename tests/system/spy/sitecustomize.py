"""Loaded by the interpreter of the daemon under test: notes what the mock pins are driven to, and moves their wires.

Levels are noted in `levels`, a line `MONOTONIC_SECONDS PROCESS PIN LEVEL` whenever a process drives another level than
before. The daemon's own process also obeys datagrams on the socket `wires`: `22 lh` draws pin 22 low, then lets it go;
`hang 27` makes whoever drives pin 27 next wait for ever.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from pathlib import Path

from gpiozero.pins.mock import MockPin

HOME = Path("/var/lib/spy")
LONGEST_DATAGRAM = 1000

drive, make = MockPin._set_state, MockPin.__init__
last: dict[int, bool] = {}
pins: dict[int, MockPin] = {}
hanging: set[int] = set()


def number_of(pin: MockPin) -> int:
    return int(pin.info.name.removeprefix("GPIO"))


def made(pin: MockPin, *arguments: object) -> None:
    make(pin, *arguments)
    pins[number_of(pin)] = pin


def driven(pin: MockPin, value: float) -> None:
    number, level = number_of(pin), bool(value)
    while number in hanging:
        time.sleep(1)
    drive(pin, value)
    if last.get(number) != level:
        last[number] = level
        with (HOME / "levels").open("a") as levels:
            levels.write(f"{time.monotonic():.3f} {os.getpid()} {number} {int(level)}\n")


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


MockPin._set_state, MockPin.__init__ = driven, made
if sys.orig_argv[-1] == "run":
    (HOME / "wires").unlink(missing_ok=True)
    wires = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    wires.bind(str(HOME / "wires"))
    threading.Thread(target=obey, args=(wires,), daemon=True).start()
