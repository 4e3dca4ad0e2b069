"""What the keeper tells systemd and the journal. Neither is ever waited for: the line comes first."""

from __future__ import annotations

import os
import select
import socket
from contextlib import suppress


def notify(message: str) -> None:
    """Tells systemd, if it is there; never waits, never raises."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.setblocking(False)
            manager.sendto(message.encode(), f"\0{address[1:]}" if address[0] == "@" else address)


def say(text: str) -> None:
    """A line for the journal, unless that would have to be waited for; never raises."""
    poll = select.poll()
    poll.register(2, select.POLLOUT)
    if poll.poll(0):
        with suppress(OSError):
            os.write(2, f"<4>facelatch-lock: {text}\n".encode())
