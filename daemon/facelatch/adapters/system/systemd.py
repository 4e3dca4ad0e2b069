"""What systemd is told: the notification protocol is one datagram to a socket, so no library is needed."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

_FROM_ENVIRONMENT = ""

_STEP_SECONDS = 30
"""A step of a long work may take this long; then it counts as hung."""


class SystemdService:
    """Tells systemd how the daemon is doing; silent when started by somebody else."""

    def __init__(self, address: str | None = _FROM_ENVIRONMENT) -> None:
        """`address`: the socket's path, `@` for an abstract one; by default NOTIFY_SOCKET; None: silent."""
        if address == _FROM_ENVIRONMENT:
            address = os.environ.get("NOTIFY_SOCKET")
        self._address = f"\0{address[1:]}" if address and address.startswith("@") else address
        self._last_status = ""

    def ready(self) -> None:
        """The daemon serves."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """One line on what the door is doing; sent when it changes."""
        if text != self._last_status:
            self._last_status = text
            self._send(f"STATUS={' '.join(text.split())}")

    def watchdog(self) -> None:
        """Still alive, and has just seen a fresh frame."""
        self._send("WATCHDOG=1")

    def busy(self) -> None:
        """No frame yet, but a long work has just come one step further: neither the start nor the loop hangs."""
        self._send(f"EXTEND_TIMEOUT_USEC={_STEP_SECONDS * 1_000_000}\nWATCHDOG=1")

    def stopping(self) -> None:
        """The daemon is on its way out."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # A manager that does not listen must not stop the door; a missed WATCHDOG=1 it notices itself.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.setblocking(False)
            notify.sendto(message.encode(), self._address)
