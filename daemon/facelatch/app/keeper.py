"""The lock's keeper, found or started: systemd has started one, or else the daemon starts its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import facelatch
from facelatch.adapters.pins import lock
from facelatch.adapters.pins.lock import KeeperLock
from facelatch.config.file import Config
from facelatch.errors import GpioError

ENVIRONMENT = "FACELATCH_LOCK"
"""Names the keeper's socket; the unit sets it. Without it the daemon starts a keeper of its own."""

PATIENCE_SECONDS = 20.0
"""A keeper that starts anew for other settings takes seconds on a slow board."""

END_SECONDS = 3.0


def served_at() -> Path | None:
    """Where a keeper should be serving, None when the daemon has to start its own."""
    named = os.environ.get(ENVIRONMENT)
    return Path(named) if named else None


def open_lock(config: Config) -> KeeperLock:
    """The lock, locked. Raises GpioError."""
    ceiling = config.door.max_unlock_seconds
    settings = lock.keeper_settings(config.gpio, ceiling)
    if path := served_at():
        return lock.keepers_lock(path, settings, patience_seconds=PATIENCE_SECONDS)
    return _started(lock.keeper_arguments(config.gpio, ceiling), settings)


def _started(arguments: list[str], settings: str) -> KeeperLock:
    """A keeper that is this process's child and ends, locked, with it. Raises GpioError."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        child = subprocess.Popen(
            [sys.executable, "-m", "facelatch.keeper", *arguments, "--descriptor", str(its.fileno())],
            pass_fds=[its.fileno()],
            stdin=subprocess.DEVNULL,
            # Ctrl-C in the terminal is the daemon's; what the keeper hears of it is that the daemon has gone.
            start_new_session=True,
            env={"PYTHONPATH": str(Path(facelatch.__file__).parents[1]), "PATH": os.environ.get("PATH", "")},
        )

    def ended() -> None:
        try:
            child.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    try:
        return KeeperLock(ours, settings, hello_seconds=PATIENCE_SECONDS, ended=ended)
    except GpioError as error:
        raise GpioError(
            f"GPIO{arguments[1]}: the keeper of the lock cannot be started: {error}",
            hint="is this a Raspberry Pi, the pin free, the user in group gpio? "
            'On a desk set gpio.pin_factory = "mock"',
        ) from error
