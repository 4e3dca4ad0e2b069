"""Looks at the machine in a thread of its own: a disk that hangs would hold up the loop, which takes what was found."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from facelatch.audit.events import Event, EventKind, Value
from facelatch.config.health import HealthConfig
from facelatch.machines.health import HINTS, Change, Health, Level, Trouble, advance, judge
from facelatch.ports import AuditSink, Clock
from facelatch.values.health import Reading

SILENT_SECONDS = 60.0
"""A look that takes longer has met a disk that hangs."""


class HealthWatch:
    """How the machine is. Only `turn`, `view` and `close` are for the loop; none of them waits."""

    def __init__(
        self, read: Callable[[], Reading], settings: HealthConfig, audit: AuditSink, clock: Clock
    ) -> None:
        """Starts looking. `read` may take its time, and must not raise."""
        self._read, self._settings, self._audit, self._clock = read, settings, audit, clock
        self._health = Health()
        self._newest: tuple[Reading, float] | None = None
        self._judged: tuple[Reading, float] | None = None
        self._looking_since: float | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="health", daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.is_set():
            self._looking_since = self._clock.now()
            reading = self._read()
            self._newest = (reading, self._clock.now())
            self._looking_since = None
            self._over.wait(self._settings.interval_seconds)

    def turn(self) -> None:
        """Takes the newest reading, if there is another than last time, and tells the audit what has changed."""
        newest, since, now = self._newest, self._looking_since, self._clock.now()
        if since is not None and now - since > SILENT_SECONDS:
            newest = (Reading(answers=False), since)
        if newest is None or newest == self._judged:
            return
        self._judged = newest
        self._health = advance(self._health, newest[0], now, self._settings)
        for change in self._health.changes:
            self._audit.write(_event(change))

    def view(self) -> dict[str, Any]:
        """For `status`: what is wrong, and what was measured; null where the machine does not tell."""
        reading = self._judged[0] if self._judged is not None else Reading()
        clock, _ = judge(Trouble.CLOCK_NOT_TRUSTED, reading, self._settings)
        return {
            "troubles": [str(trouble) for trouble in self._health.troubles],
            "under_voltage": reading.under_voltage,
            "throttled": reading.throttled,
            "temperature_celsius": reading.temperature_celsius,
            "free_mb": reading.free_mb,
            "card_errors": reading.card_errors,
            "clock_trusted": None if clock is Level.UNKNOWN else clock is Level.WELL,
            "swap_mb": reading.swap_mb,
        }

    def close(self) -> None:
        """Ends looking; a look that hangs ends with the process."""
        self._over.set()


def _event(change: Change) -> Event:
    fields: dict[str, Value] = {"REASON": str(change.trouble), "MEASURED": change.measured}
    if change.lasted is None:
        return Event(EventKind.HEALTH_DEGRADED, {**fields, "HINT": HINTS[change.trouble]})
    return Event(EventKind.HEALTH_RESTORED, {**fields, "SECONDS": round(change.lasted, 1)})
