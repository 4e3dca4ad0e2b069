"""`schedules.toml`: the hours of the door, by name, with the holidays and the time zone."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from facelatch.config.access import FactorsConfig
from facelatch.config.section import Section
from facelatch.errors import ConfigError
from facelatch.values.hours import DAY_MINUTES, HOLIDAY, SCHEDULE_PATTERN, Rule, Schedules, Window

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun", "weekdays", "weekend", "daily", "holiday"]
_NAMES: tuple[str, ...] = get_args(Day)[:7]
_DAYS: dict[str, frozenset[int]] = {
    **{name: frozenset({number}) for number, name in enumerate(_NAMES)},
    "weekdays": frozenset(range(5)),
    "weekend": frozenset({5, 6}),
    "daily": frozenset(range(7)),
    "holiday": frozenset({HOLIDAY}),
}
ScheduleName = Annotated[str, Field(pattern=SCHEDULE_PATTERN)]


def _minute(text: object) -> int:
    found = re.fullmatch(r"([01]\d|2[0-4]):([0-5]\d)", text) if isinstance(text, str) else None
    minute = int(found[1]) * 60 + int(found[2]) if found else DAY_MINUTES + 1
    if minute > DAY_MINUTES:
        raise ValueError('must be a time of day in quotes, "00:00" to "24:00"')
    return minute


def _holiday(text: object) -> tuple[int | None, int, int]:
    found = re.fullmatch(r"(?:(\d{4})-)?(\d{2})-(\d{2})", text) if isinstance(text, str) else None
    try:
        if found is None:
            raise ValueError
        date(int(found[1] or 2024), int(found[2]), int(found[3]))  # a leap year where none is named
    except ValueError:
        raise ValueError('must be a day in quotes, "2026-04-03" or, every year, "12-25"') from None
    return (int(found[1]) if found[1] else None, int(found[2]), int(found[3]))


class WindowConfig(Section):
    """Hours of some days."""

    days: Annotated[list[Day], Field(min_length=1, max_length=len(get_args(Day)))]
    begin: Annotated[int, BeforeValidator(_minute), Field(alias="from")]
    end: Annotated[int, BeforeValidator(_minute), Field(alias="to")]
    rule: Literal["face", "face+pin", "face+card", "card+pin"] | None = None

    @model_validator(mode="after")
    def _some_time(self) -> Self:
        if self.begin == DAY_MINUTES:
            raise ValueError('from must be before "24:00"')
        if self.begin == self.end:
            raise ValueError('from and to must differ; a whole day is "00:00" to "24:00"')
        return self

    @property
    def window(self) -> Window:
        """As the machine reads it."""
        days = frozenset[int]().union(*(_DAYS[day] for day in self.days))
        return Window(days=days, begin=self.begin, end=self.end, rule=Rule(self.rule) if self.rule else None)


class OneSchedule(Section):
    """The windows of one schedule."""

    windows: Annotated[list[WindowConfig], Field(max_length=100)]


class SchedulesFile(Section):
    """The whole file."""

    timezone: str = ""
    holidays: Annotated[list[Annotated[tuple[int | None, int, int], BeforeValidator(_holiday)]], Field(max_length=1000)] = []  # noqa: RUF012, E501
    schedules: Annotated[dict[ScheduleName, OneSchedule], Field(max_length=200)] = {}  # noqa: RUF012

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        if name:
            try:
                ZoneInfo(name)
            except (ZoneInfoNotFoundError, ValueError, OSError) as error:
                raise ValueError('must be a name of the time zone database, such as "Europe/Berlin"') from error
        return name


_HINT = "config/schedules.toml explains every key; `facelatch check` tries the file"


def load_schedules(path: Path, factors: FactorsConfig) -> Schedules:
    """The schedules in `path`; none, where there is no such file. Raises ConfigError that lists every fault."""
    try:
        document: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return Schedules()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", hint="schedule.file in facelatch.toml names it") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not TOML: {error}", hint="times and days need quotes") from error
    return parse_schedules(document, factors, origin=str(path))


def parse_schedules(document: dict[str, Any], factors: FactorsConfig, *, origin: str) -> Schedules:
    """The schedules in a parsed TOML document; `origin` names it in errors. Raises ConfigError."""
    try:
        file = SchedulesFile.model_validate(document)
    except ValidationError as error:
        raise ConfigError("\n".join(_sentence(origin, dict(one)) for one in error.errors()), hint=_HINT) from error
    windows = {name: tuple(one.window for one in schedule.windows) for name, schedule in file.schedules.items()}
    if faults := [*_unreadable(windows, factors, origin)]:
        raise ConfigError("\n".join(faults), hint=_HINT)
    return Schedules(windows=windows, holidays=frozenset(file.holidays), timezone=file.timezone)


def _unreadable(windows: dict[str, tuple[Window, ...]], factors: FactorsConfig, origin: str) -> list[str]:
    """Rules that ask for what no reader at this door can read."""
    found = []
    for name, several in windows.items():
        for number, window in enumerate(several):
            rule, key = window.rule, f"{origin}: schedules.{name}.windows.{number}.rule"
            if rule is not None and rule.keypad and not factors.has_keypad:
                found.append(f"{key} = {rule.value!r}: needs a keypad (factors.wiegand_pins or factors.hid_keypad)")
            elif rule is not None and rule.card and not factors.has_card_reader:
                found.append(f"{key} = {rule.value!r}: needs a card reader (factors.wiegand_pins or hid_card_reader)")
    return found


def _sentence(origin: str, fault: dict[str, Any]) -> str:
    key = ".".join(map(str, fault["loc"])).removesuffix(".[key]")
    if fault["type"] == "extra_forbidden":
        return f"{origin}: {key}: unknown key"
    rule = fault["msg"].removeprefix("Value error, ")
    if not key or isinstance(fault["input"], dict):
        return f"{origin}: {key + ': ' if key else ''}{rule}"
    return f"{origin}: {key} = {fault['input']!r}: {rule}"
