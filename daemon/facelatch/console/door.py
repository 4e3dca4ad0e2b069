"""What the console asks of the daemon, by the control socket and with the rights of the console's own user."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from facelatch.control.client import ControlClient, every_page
from facelatch.control.peer import MAX_CLIENTS_PER_USER
from facelatch.errors import ControlError

PATIENCE_SECONDS = 10.0
"""For a place, of which the daemon keeps so many for each user; it has twice as long to answer."""


class Door:
    """The daemon's socket; blocking, for the threads that pages are made in."""

    def __init__(self, socket: Path) -> None:
        self._client = ControlClient(socket)
        self._places = threading.BoundedSemaphore(MAX_CLIENTS_PER_USER)

    def ask(self, actor: str | None, action: str, bulk: bytes | None = None, **fields: Any) -> dict[str, Any]:
        """The daemon's reply, see `fetch`. Raises what the daemon raises; ControlError when it is busy or not there."""
        return self.fetch(actor, action, bulk, **fields)[0]

    def fetch(
        self, actor: str | None, action: str, bulk: bytes | None = None, **fields: Any
    ) -> tuple[dict[str, Any], bytes]:
        """The reply with what came along. `actor` is the account on whose behalf it is asked; None: nobody's.

        Raises what the daemon raises; ControlError when it is busy or not there.
        """
        if not self._places.acquire(timeout=PATIENCE_SECONDS):
            raise ControlError("the door is busy with other questions", hint="try again in a moment")
        try:
            request = {"action": action, **fields, **({"actor": actor} if actor is not None else {})}
            return self._client.fetch(request, bulk, timeout_seconds=PATIENCE_SECONDS * 2)
        finally:
            self._places.release()

    def people(self, actor: str) -> list[dict[str, Any]]:
        """Everybody enrolled, all pages."""
        pages = every_page(lambda begin: self.ask(actor, "list", **begin), "after")
        return [row for page in pages for row in page["people"]]
