"""The clock on the wall: the day and the minute in a time zone, and whether anybody has set it."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from facelatch.adapters.system.clock import wall_clock_is_set
from facelatch.values.hours import LocalTime


class WallClock:
    """Local time. It may jump; nothing but the hours of people is decided by it."""

    def __init__(self, timezone: str, *, assumed: bool) -> None:
        """`timezone` is a name of the IANA database, empty for the system's; `assumed` trusts the clock unasked."""
        self._zone = ZoneInfo(timezone) if timezone else None
        self._assumed = assumed

    def local_time(self) -> LocalTime:
        """The day and the minute now."""
        return local_time(datetime.now(UTC), self._zone, trusted=wall_clock_is_set(assumed=self._assumed))


def local_time(now: datetime, zone: tzinfo | None, *, trusted: bool) -> LocalTime:
    """What a clock on the wall in `zone` (None: the system's) shows at `now`, which knows its own zone."""
    wall = now.astimezone(zone)
    second = wall.second + wall.microsecond / 1e6
    return LocalTime(day=wall.date(), minute=wall.hour * 60 + wall.minute, trusted=trusted, second=second)
