"""People whose last day comes: told before, and forgotten after where that was asked for."""

from __future__ import annotations

from facelatch.api.admission import traces
from facelatch.api.answer import about
from facelatch.audit.events import EventKind, fault
from facelatch.errors import FacelatchError
from facelatch.gallery.store import GalleryStore
from facelatch.ports import AuditSink
from facelatch.values.hours import LocalTime

LOOK_SECONDS = 600.0
"""Between two looks at the calendar."""
SETTLED_SECONDS = 3600.0
"""How long the clock must have shown a day without a break before somebody is removed for it: a clock that jumped ahead
for a moment must cost nobody the enrolment."""


class Guests:
    """Looks at the calendar now and then."""

    def __init__(self, warn_days: int) -> None:
        """`warn_days` before somebody's last one that is told, once a day; 0: never."""
        self._warn_days = warn_days
        self._next = 0.0
        self._since: tuple[LocalTime, float] | None = None
        """Since when the clock shows a day at or after this one, monotonic seconds."""
        self._told: dict[int, LocalTime] = {}

    def look(self, store: GalleryStore, audit: AuditSink, time: LocalTime, now: float) -> bool:
        """Tells, and forgets, who is due; whether somebody was removed. Never raises."""
        if not time.trusted:
            self._since = None
            return False
        if self._since is None or time.day < self._since[0].day:
            self._since = (time, now)
        if now < self._next:
            return False
        self._next = now + LOOK_SECONDS
        try:
            return self._look(store, audit, time, settled=now - self._since[1] >= SETTLED_SECONDS)
        except FacelatchError as error:
            audit.write(fault("guests_not_forgotten", str(error)))
            return True

    def _look(self, store: GalleryStore, audit: AuditSink, today: LocalTime, *, settled: bool) -> bool:
        forgotten = False
        for record in store.people():
            last = record.access.valid_until
            if last is None:
                continue
            person, left = record.person, (last - today.day).days
            told = self._told.get(person.id)
            if 0 <= left < self._warn_days and (told is None or told.day != today.day):
                self._told[person.id] = today
                audit.write(about(person, EventKind.ACCESS_EXPIRING, VALID_UNTIL=str(last), DAYS_LEFT=left))
            if left < 0 and record.access.forget and settled:
                store.remove(person.name)
                for event in (about(person, EventKind.ACCESS_EXPIRED, VALID_UNTIL=str(last)), *traces(store)):
                    audit.write(event)
                forgotten = True
        return forgotten
