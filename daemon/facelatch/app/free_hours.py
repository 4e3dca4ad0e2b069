"""When there is free passage by schedule."""

from __future__ import annotations

from facelatch.machines import schedule
from facelatch.site.mode import Window
from facelatch.values import hours
from facelatch.values.hours import LocalTime, Schedules


class FreeHours:
    """The window of free passage that is open now. It has one end from its beginning on, whatever the clock does."""

    def __init__(self, name: str, *, after_first: bool) -> None:
        """`name` of the schedule, which need not be there."""
        self._name, self._after_first = name, after_first
        self._open: tuple[hours.Window, Window] | None = None

    def window(self, schedules: Schedules, time: LocalTime, now: float) -> Window | None:
        """The window that `time` lies in, `now` in monotonic seconds; None outside, and without a trusted clock."""
        found = schedule.current(schedules, self._name, time) if time.trusted else None
        if found is None:
            self._open = None
            return None
        if self._open is None or self._open[0] != found or now >= self._open[1].until:
            until = now + schedule.seconds_left(found, time)
            self._open = (found, Window(until=until, after_first=self._after_first))
        return self._open[1]
