"""When somebody may come and what it takes: dates, schedules, factors, and the time of day at the door."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

EARLIEST_SECONDS = 1_750_000_000
"""Unix time from before this program: a clock that shows less has not been set, whoever says so. A battery clock whose
battery is empty begins in 1970 or 2000."""
HOLIDAY = 7
"""The day of the week that a holiday counts as; Monday is 0."""
DAY_MINUTES = 24 * 60
SCHEDULE_PATTERN = r"^[A-Za-z0-9_-]{1,32}$"
"""What the name of a schedule looks like."""


class Rule(StrEnum):
    """What it takes to be let in."""

    FACE = "face"
    FACE_PIN = "face+pin"
    FACE_CARD = "face+card"
    CARD_PIN = "card+pin"

    @property
    def keypad(self) -> bool:
        """Whether it asks for a PIN."""
        return self in (Rule.FACE_PIN, Rule.CARD_PIN)

    @property
    def card(self) -> bool:
        """Whether it asks for a card."""
        return self in (Rule.FACE_CARD, Rule.CARD_PIN)


@dataclass(frozen=True, slots=True)
class LocalTime:
    """What a clock on the wall shows, and whether it can be believed."""

    day: date
    minute: int
    """Of the day, 0 to 1439, as the clock shows it: an hour that daylight saving repeats has the same minutes twice."""
    trusted: bool
    """Whether somebody has set that clock since the machine started."""
    second: float = 0.0
    """Of the minute."""


@dataclass(frozen=True, slots=True)
class Access:
    """When one person may come. The defaults are those of somebody who may always come."""

    valid_from: date | None = None
    """The first day."""
    valid_until: date | None = None
    """The last day, which still counts."""
    schedule: str | None = None
    """Name of a schedule in schedules.toml."""
    suspended: bool = False
    """Not let in, although nothing is forgotten."""
    forget: bool = False
    """Whether the person is removed when the last day is over."""
    has_pin: bool = False
    has_card: bool = False

    @property
    def needs_clock(self) -> bool:
        """Whether it can only be told by the time."""
        return (self.valid_from, self.valid_until, self.schedule) != (None, None, None)


@dataclass(frozen=True, slots=True)
class Window:
    """Hours of some days of the week. One that ends at or before its beginning goes on past midnight."""

    days: frozenset[int]
    """On which it begins: Monday is 0, Sunday 6, HOLIDAY a holiday of whatever day."""
    begin: int
    """Minute of the day, 0 to 1439."""
    end: int
    """Minute of the day, 0 to 1440, itself no part of it."""
    rule: Rule | None = None
    """What it takes to come in; None: what `factors.rule` says."""


@dataclass(frozen=True, slots=True)
class Schedules:
    """All of schedules.toml."""

    windows: Mapping[str, tuple[Window, ...]] = field(default_factory=dict)
    """By the name of the schedule."""
    holidays: frozenset[tuple[int | None, int, int]] = frozenset()
    """Year, month, day; every year where there is none."""
    timezone: str = ""
    """A name of the IANA database; empty: the system's."""
