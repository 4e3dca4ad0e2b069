"""What `check` comes to beside a door that serves: tried on the asker's thread, and no more often than is of use."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

AGAIN_SECONDS = 10.0
"""So long the findings are given again as they are: whoever may ask must not keep a core from the door."""

Findings = list[dict[str, Any]]
"""Of each item `item`, `ok`, `detail`, `hint`, `warning`."""


class Checks:
    """The findings of a while ago, or new ones. Safe to use from several threads."""

    def __init__(self, try_all: Callable[[], Findings], now: Callable[[], float]) -> None:
        """`now` gives monotonic seconds; `try_all` raises nothing."""
        self._try_all, self._now = try_all, now
        self._guard = threading.Lock()
        self._found: Findings = []
        self._tried = float("-inf")

    def findings(self) -> Findings:
        """All of them; whoever asks meanwhile waits, and gets the same."""
        with self._guard:
            if self._now() - self._tried >= AGAIN_SECONDS:
                self._found = self._try_all()
                self._tried = self._now()
            return self._found
