"""The clock on the wall: the day and the minute in a time zone, and whether anybody has set it."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from facelatch.adapters.system.clock import SYNCHRONISED
from facelatch.values.hours import LocalTime

REAL_TIME_CLOCKS = Path("/sys/class/rtc")
EARLIEST = datetime(2025, 6, 15, tzinfo=UTC)
"""A clock before this day has lost its battery, whatever it is said to have been set by."""


class WallClock:
    """Local time. It may jump; nothing but the hours of people is decided by it."""

    def __init__(self, timezone: str, *, assumed: bool) -> None:
        """`timezone` is a name of the IANA database, empty for the system's; `assumed` trusts the clock unasked."""
        self._zone = ZoneInfo(timezone) if timezone else None
        self._assumed = assumed

    def local_time(self) -> LocalTime:
        """The day and the minute now."""
        now = datetime.now(UTC)
        return local_time(now, self._zone, trusted=now >= EARLIEST and (self._assumed or was_set()))


def local_time(now: datetime, zone: tzinfo | None, *, trusted: bool) -> LocalTime:
    """What a clock on the wall in `zone` (None: the system's) shows at `now`, which knows its own zone."""
    wall = now.astimezone(zone)
    second = wall.second + wall.microsecond / 1e6
    return LocalTime(day=wall.date(), minute=wall.hour * 60 + wall.minute, trusted=trusted, second=second)


def was_set() -> bool:
    """Whether the time comes from the network or, since the start, from a clock with a battery. Never raises."""
    try:
        return SYNCHRONISED.exists() or any(
            one.read_text(encoding="ascii").strip() == "1" for one in REAL_TIME_CLOCKS.glob("rtc*/hctosys")
        )
    except (OSError, ValueError):
        return False
