"""Events that a client can cause as often as it likes: written at most once in a while, with how many there were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from facelatch.audit.events import Event, EventKind

PERIOD_SECONDS: Mapping[EventKind, float] = {
    EventKind.CONTROL_REFUSED: 60.0,
    EventKind.CONTROL_REQUEST: 600.0,
    EventKind.FLEET_REFUSED: 600.0,
}

_MOST = 256
"""Remembered; the oldest is forgotten first, and then written again when it comes again."""


class Traces:
    """What was written lately."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, ...], tuple[float, int]] = {}

    def worth_writing(self, event: Event, now: float) -> Event | None:
        """`event` with COUNT, how many like it there were since the last that was written; None: not yet.

        Alike are events of one kind that agree in everything but the process.
        """
        fields = {name: value for name, value in event.fields.items() if name not in ("PID", "PERSON")}
        key = (event.kind.value, *(f"{name}={value}" for name, value in sorted(fields.items())))
        since, count = self._seen.get(key, (float("-inf"), 0))
        if now - since < PERIOD_SECONDS[event.kind]:
            self._seen[key] = (since, count + 1)
            return None
        self._seen.pop(key, None)
        self._seen[key] = (now, 0)
        if len(self._seen) > _MOST:
            del self._seen[next(iter(self._seen))]
        return replace(event, fields={**event.fields, "COUNT": count + 1})
