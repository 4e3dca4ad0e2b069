"""`facelatch-lock`: from arguments to a locked line, then turns until told to stop."""

from __future__ import annotations

import argparse
import errno
import os
import pwd
import signal
import socket
import sys
import time
from contextlib import suppress

from facelatch.keeper.lease import Lease
from facelatch.keeper.line import MockLine, OutputLine
from facelatch.keeper.serve import Keeper
from facelatch.keeper.telling import notify, say

CLAIM_SECONDS = 3.0
"""A dying process, or a relock, may have the line for a moment."""
EXIT_PINS = 6


def arguments(words: list[str]) -> argparse.Namespace:
    """What it is told; it reads no file."""
    parser = argparse.ArgumentParser(prog="facelatch-lock", description=__doc__)
    parser.add_argument("--pin", type=int, required=True, help="GPIO number of the lock's line")
    parser.add_argument("--locked", choices=["high", "low"], required=True, help="its level while the door is locked")
    parser.add_argument("--ceiling", type=float, required=True, help="seconds that one grant may last")
    parser.add_argument("--heartbeat", type=int, help="a line that beats while unlocked, for a monostable")
    parser.add_argument("--mock", action="store_true", help="drive nothing")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--socket", help="serve here")
    how.add_argument("--descriptor", type=int, help="serve this connection only, and end with it")
    how.add_argument("--relock", action="store_true", help="drive the line locked once, let it go, and end")
    parser.add_argument("--client", default="root", help="the user that may connect, besides root")
    return parser.parse_args(words)


def settings(told: argparse.Namespace) -> str:
    """What the daemon and its keeper have to agree on, as the daemon says it: the arguments about the door."""
    words = ["--pin", str(told.pin), "--locked", told.locked, "--ceiling", f"{told.ceiling:g}"]
    if told.heartbeat is not None:
        words += ["--heartbeat", str(told.heartbeat)]
    return " ".join(words + (["--mock"] if told.mock else []))


def claimed(pin: int, high: bool, mock: bool) -> OutputLine | MockLine:
    """The line, at that level. Raises OSError when it stays busy."""
    deadline = time.monotonic() + CLAIM_SECONDS
    while True:
        try:
            return (MockLine if mock else OutputLine)(pin, high)
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def listening(path: str) -> socket.socket:
    """A socket at `path`, for its user and group; whatever lies there is of a keeper that died. Raises OSError."""
    with suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    before = os.umask(0o117)
    listener.bind(path)
    os.umask(before)
    listener.listen(8)
    return listener


def stay_in_memory() -> None:
    """No page of it, once read, has to be read again from a card that hangs."""
    import ctypes

    current, future, on_fault = 1, 2, 4
    if ctypes.CDLL(None, use_errno=True).mlockall(current | future | on_fault):
        say(f"memory not locked: {os.strerror(ctypes.get_errno())}")


def main(words: list[str] | None = None) -> int:
    """The exit code: 0 when told to end, 6 when the line cannot be had."""
    told = arguments(sys.argv[1:] if words is None else words)
    locked_is_high = told.locked == "high"
    stop: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: stop.append(number))
    try:
        line = claimed(told.pin, locked_is_high, told.mock)
        if told.relock:
            line.write(locked_is_high)
            line.close()
            return 0
        heartbeat = claimed(told.heartbeat, False, told.mock) if told.heartbeat is not None else None
    except OSError as error:
        say(f"GPIO{told.pin}: {error}")
        return EXIT_PINS
    keeper = Keeper(line, heartbeat, Lease(told.ceiling), locked_is_high=locked_is_high, settings=settings(told))
    try:
        if told.socket:
            keeper.listen(listening(told.socket), {0, pwd.getpwnam(told.client).pw_uid})
        else:
            keeper.add(socket.socket(fileno=told.descriptor))
        stay_in_memory()
        notify("READY=1")
        while not (stop or keeper.over):
            keeper.turn()
    finally:
        keeper.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
