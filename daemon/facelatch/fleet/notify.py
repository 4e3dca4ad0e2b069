"""Notifications: chosen events to a webhook and a command, at most so many a minute, tried again when they fail.

A thread of its own delivers them, so that a slow receiver holds up nothing else.
"""

from __future__ import annotations

import json
import subprocess
import threading
import urllib.request
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from facelatch.fleet.settings import Settings
from facelatch.streams import say

WAITING = 200
"""Notifications kept while nobody takes them; the oldest go first."""

TIMEOUT_SECONDS = 15.0
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS, TRIES = 2.0, 300.0, 12

Send = Callable[[Mapping[str, Any]], None]
"""Raises OSError when it was not delivered."""


def wanted(settings: Settings, event: str) -> bool:
    """Whether anybody is to be told of events of this kind."""
    return bool(settings.webhook or settings.command) and ("*" in settings.notify or event in settings.notify)


class Notifier:
    """Takes what is to be told, and tells it."""

    def __init__(self, settings: Settings, send: Send | None = None) -> None:
        """`send` instead of webhook and command, for tests."""
        self._send, self._most = send or _sender(settings), settings.notify_per_minute
        self._waiting: deque[dict[str, Any]] = deque(maxlen=WAITING)
        self._sent: deque[float] = deque()
        self._left_out = 0
        self._changed, self._over = threading.Condition(), False
        self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)
        self._thread.start()

    def tell(self, message: Mapping[str, Any], now: float) -> bool:
        """Takes a message; False when there were too many in the last minute (`now` in monotonic seconds)."""
        while self._sent and now - self._sent[0] > 60:
            self._sent.popleft()
        if len(self._sent) >= self._most:
            self._left_out += 1
            return False
        self._sent.append(now)
        with self._changed:
            self._waiting.append({**message, **({"left_out": self._left_out} if self._left_out else {})})
            self._left_out = 0
            self._changed.notify()
        return True

    def close(self) -> None:
        """Tells nothing more; what waits is lost."""
        with self._changed:
            self._over = True
            self._changed.notify()
        self._thread.join(TIMEOUT_SECONDS + 5)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._over or self._waiting)
                if self._over:
                    return
                message = self._waiting.popleft()
            self._deliver(message)

    def _deliver(self, message: Mapping[str, Any]) -> None:
        pause = FIRST_RETRY_SECONDS
        for _ in range(TRIES):
            try:
                self._send(message)
                return
            except (OSError, subprocess.SubprocessError) as error:
                say(f"notification not delivered, again in {pause:g} s: {error}")
            with self._changed:
                if self._changed.wait_for(lambda: self._over, pause):
                    return
            pause = min(2 * pause, LONGEST_RETRY_SECONDS)
        say("notification given up")


def _sender(settings: Settings) -> Send:
    def send(message: Mapping[str, Any]) -> None:
        body = json.dumps(message).encode()
        if settings.webhook:
            request = urllib.request.Request(settings.webhook, body, {"content-type": "application/json"})
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
                answer.read(1024)
        if settings.command:
            subprocess.run(settings.command, input=body, timeout=TIMEOUT_SECONDS, check=True)

    return send
