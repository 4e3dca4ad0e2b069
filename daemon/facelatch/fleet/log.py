"""Sends the door's ledger to a collector: a batch at a time, the next when that one is acknowledged.

Nothing is kept here. After a start, a new connection or a silence the collector is asked for the last row that it has,
and the rows after it are sent; what comes twice it passes over. So bridge, broker and collector may die at any moment.

| state | what comes | then |
|---|---|---|
| asking | `head`: the last row that the collector has | sending from there, or all rows where the door has fewer |
| sending, a batch under way | `taken` up to its last row | sending from there |
| | `head`: the collector lacks rows before the batch, or has others | sending from there |
| any | no answer in `ANSWER_SECONDS`; a new connection; a collector that comes | asking |
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from facelatch.fleet.feed import Ask

ANSWER_SECONDS = 10.0
"""How long a collector may take; while there is none it is asked again as often, which is a few bytes."""

PRESENCE = "facelatch/fleet/collector"
"""Where a collector says, retained, whether it is there."""

Publish = Callable[[Mapping[str, Any]], bool]
"""To the collector; False: not now, as there is no connection or the message before is still on its way."""


class LogSender:
    """Of one door. `connected` and `heard` may be called by any thread."""

    def __init__(self, ask: Ask, publish: Publish, *, names: bool) -> None:
        """`names`: whether names of people may leave the device."""
        self._ask, self._publish, self._names = ask, publish, names
        self._heard: deque[Mapping[str, Any]] = deque(maxlen=16)
        self._taken: int | None = None
        """Up to which row the collector has all; None: it is asked."""
        self._under_way: tuple[int, float] | None = None
        """The last row of what was sent (-1: a question), and since when."""

    def connected(self) -> None:
        """To the broker, or a collector to it: what was under way may be lost."""
        self._heard.append({"connected": True})

    def heard(self, message: bytes) -> None:
        """The collector's answer; what is none is passed over."""
        with suppress(ValueError, RecursionError):
            parsed = json.loads(message)
            if isinstance(parsed, Mapping):
                self._heard.append(parsed)

    def turn(self, newest: int, now: float) -> None:
        """Sends what is due; `newest` is the door's last row, `now` in monotonic seconds. Raises FacelatchError."""
        while self._heard:
            self._hear(self._heard.popleft())
        if self._under_way is not None:
            if now - self._under_way[1] < ANSWER_SECONDS:
                return
            self._taken = self._under_way = None
        if self._taken is None:
            self._send({"ask": True}, -1, now)
        elif self._taken != newest:
            self._send_rows(self._taken, now)

    def _hear(self, message: Mapping[str, Any]) -> None:
        if message.get("connected"):
            self._taken = self._under_way = None
            return
        head, taken = message.get("head"), message.get("taken")
        if isinstance(head, int):
            self._taken, self._under_way = head, None
        elif isinstance(taken, int) and self._under_way is not None and self._under_way[0] == taken:
            self._taken, self._under_way = taken, None

    def _send_rows(self, after: int, now: float) -> None:
        batch = self._rows(after)
        if batch["last"] < after:  # rows are gone that the collector has: it shall see from where on
            batch = self._rows(0)
        if batch["rows"]:
            self._send(batch, batch["rows"][-1][0], now)

    def _rows(self, after: int) -> dict[str, Any]:
        return self._ask("ledger", after=after, **({"names": True} if self._names else {}))

    def _send(self, message: Mapping[str, Any], end: int, now: float) -> None:
        if self._publish(message):
            self._under_way = end, now
