"""How the loop drives the lock, and what it says when the lock's keeper relocked by itself."""

from __future__ import annotations

from facelatch.audit.events import Event, EventKind
from facelatch.ports import AuditSink, Lock
from facelatch.values.wires import LockLevel


class Driver:
    """Asks the lock for a level on every turn."""

    def __init__(self, lock: Lock, audit: AuditSink, max_unlock_seconds: float) -> None:
        self._lock, self._audit, self._ceiling = lock, audit, max_unlock_seconds
        self._level = LockLevel.LOCKED
        self._reported = False

    def drive(self, level: LockLevel) -> None:
        """Raises GpioError.

        Free passage whose lease lapsed because a turn took too long begins anew: the keeper wants to hear LOCKED once.
        """
        if level is LockLevel.FREE and self._level is LockLevel.FREE and self._lock.lapsed:
            level = LockLevel.LOCKED
        self._lock.set(level)
        self._level = level

    def report(self) -> None:
        """Says, once for each unlocking, that the keeper ended it and not the loop."""
        if not self._reported and self._lock.ceiling_fired:
            self._audit.write(Event(EventKind.DOOR_CEILING, {"SECONDS": self._ceiling}))
        elif not self._reported and self._lock.lapsed:
            self._audit.write(Event(EventKind.DOOR_LAPSED))
        self._reported = self._lock.ceiling_fired or self._lock.lapsed
