"""Who may come when: a pure function of a person's access, the schedules and the clock on the wall.

| access                            | clock       | answer                       |
|-----------------------------------|-------------|------------------------------|
| suspended                         | any         | denied (suspended)           |
| neither a date nor a schedule     | any         | allowed, by `factors.rule`   |
| a date or a schedule              | not trusted | denied (clock_unknown)       |
| before the first day              | trusted     | denied (not_yet_valid)       |
| after the last day                | trusted     | denied (expired)             |
| a schedule that nobody wrote down | trusted     | denied (no_such_schedule)    |
| a schedule, outside its windows   | trusted     | denied (outside_hours)       |
| a schedule, inside a window       | trusted     | allowed, by the window's rule |
| dates only, between them          | trusted     | allowed, by `factors.rule`   |

Minutes are those the clock on the wall shows: a window that daylight saving skips does not happen that day, and one in
the hour that is repeated happens twice. A window past midnight belongs to the day it begins on. On a holiday only the
windows of holidays begin. Where windows overlap the first in the file gives the rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from facelatch.values.hours import DAY_MINUTES, HOLIDAY, Access, LocalTime, Rule, Schedules, Window


class Denial(StrEnum):
    """Why somebody who was recognised is not let in; stable codes."""

    SUSPENDED = "suspended"
    CLOCK_UNKNOWN = "clock_unknown"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    NO_SUCH_SCHEDULE = "no_such_schedule"
    OUTSIDE_HOURS = "outside_hours"

    @property
    def hint(self) -> str:
        """What a person can do about it."""
        return _HINTS[self]


_HINTS: Mapping[Denial, str] = {
    Denial.SUSPENDED: "`facelatch people set NAME --resume` lets this person in again",
    Denial.CLOCK_UNKNOWN: "nobody has set the clock since power-up: it needs a network time server or a battery clock; "
    "schedule.clock in facelatch.toml",
    Denial.NOT_YET_VALID: "the first day has not come: `facelatch people set NAME --from DATE`",
    Denial.EXPIRED: "the last day is over: `facelatch people set NAME --until DATE`",
    Denial.NO_SUCH_SCHEDULE: "the schedule is not in schedules.toml: `facelatch check` names it",
    Denial.OUTSIDE_HOURS: "come in the hours of the schedule, or `facelatch people set NAME --schedule OTHER`",
}


@dataclass(frozen=True, slots=True)
class Allowed:
    """May come in, if this is fulfilled."""

    rule: Rule


@dataclass(frozen=True, slots=True)
class Denied:
    """May not."""

    reason: Denial


def allowed(access: Access, time: LocalTime | None, schedules: Schedules, rule: Rule) -> Allowed | Denied:
    """Whether somebody with `access` may come at `time`, and by which rule; `rule` is that of the configuration.

    Without a time nobody whom it takes a clock to let in is let in.
    """
    if access.suspended:
        return Denied(Denial.SUSPENDED)
    if not access.needs_clock:
        return Allowed(rule)
    if time is None or not time.trusted:
        return Denied(Denial.CLOCK_UNKNOWN)
    if access.valid_from is not None and time.day < access.valid_from:
        return Denied(Denial.NOT_YET_VALID)
    if access.valid_until is not None and time.day > access.valid_until:
        return Denied(Denial.EXPIRED)
    if access.schedule is None:
        return Allowed(rule)
    if access.schedule not in schedules.windows:
        return Denied(Denial.NO_SUCH_SCHEDULE)
    window = current(schedules, access.schedule, time)
    return Allowed(window.rule or rule) if window is not None else Denied(Denial.OUTSIDE_HOURS)


def current(schedules: Schedules, name: str, time: LocalTime) -> Window | None:
    """The window of the schedule `name` that `time` lies in; None: in none, or there is no such schedule."""
    today = weekday(time.day, schedules)
    yesterday = weekday(time.day - timedelta(days=1), schedules) if time.day > date.min else None
    for window in schedules.windows.get(name, ()):
        overnight = window.end <= window.begin
        if today in window.days and window.begin <= time.minute and (overnight or time.minute < window.end):
            return window
        if overnight and yesterday in window.days and time.minute < window.end:
            return window
    return None


def seconds_left(window: Window, time: LocalTime) -> float:
    """How long a window that `time` lies in still lasts, by the clock on the wall."""
    end = window.end if time.minute < window.end else window.end + DAY_MINUTES
    return (end - time.minute) * 60 - time.second


def weekday(day: date, schedules: Schedules) -> int:
    """The day of the week as the windows count it: HOLIDAY on a holiday."""
    years = (None, day.year)
    holiday = any((year, day.month, day.day) in schedules.holidays for year in years)
    return HOLIDAY if holiday else day.weekday()
