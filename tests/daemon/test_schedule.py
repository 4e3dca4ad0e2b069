"""Who may come when: the table, the calendar's oddities, and the file it comes from."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facelatch.adapters.system import clock, wall
from facelatch.adapters.system.health import MachineHealth
from facelatch.config.access import FactorsConfig
from facelatch.config.health import HealthConfig
from facelatch.config.schedules import load_schedules, parse_schedules
from facelatch.errors import ConfigError
from facelatch.machines.health import Level, Trouble, judge
from facelatch.machines.schedule import Allowed, Denial, Denied, allowed, current
from facelatch.values.hours import Access, LocalTime, Rule, Schedules, Window

REPO = Path(__file__).resolve().parents[2]
MONDAY = date(2026, 11, 30)
BERLIN = ZoneInfo("Europe/Berlin")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def parsed(text: dict[str, Any], factors: FactorsConfig | None = None) -> Schedules:
    return parse_schedules(text, factors or FactorsConfig(wiegand_pins=[5, 6]), origin="schedules.toml")


def office(**others: Any) -> Schedules:
    window = {"days": ["weekdays"], "from": "08:00", "to": "18:00", **others}
    return parsed({"holidays": ["2026-12-01", "12-25"], "schedules": {"office": {"windows": [window]}}})


def at(day: date, hour: int, minute: int = 0, *, trusted: bool = True) -> LocalTime:
    return LocalTime(day=day, minute=hour * 60 + minute, trusted=trusted)


IN_OFFICE, NOON = Access(schedule="office"), at(MONDAY, 12)


@pytest.mark.parametrize(
    ("access", "time", "expected"),
    [
        (Access(suspended=True), NOON, Denial.SUSPENDED),
        (Access(), None, None),
        (Access(has_pin=True, has_card=True), at(MONDAY, 3, trusted=False), None),
        (IN_OFFICE, None, Denial.CLOCK_UNKNOWN),
        (IN_OFFICE, at(MONDAY, 12, trusted=False), Denial.CLOCK_UNKNOWN),
        (Access(valid_until=MONDAY), at(MONDAY, 12, trusted=False), Denial.CLOCK_UNKNOWN),
        (Access(valid_from=MONDAY), at(MONDAY, 12, trusted=False), Denial.CLOCK_UNKNOWN),
        (Access(valid_from=MONDAY), at(date(2026, 11, 29), 23, 59), Denial.NOT_YET_VALID),
        (Access(valid_from=MONDAY, valid_until=MONDAY), at(MONDAY, 0), None),
        (Access(valid_until=MONDAY), at(MONDAY, 23, 59), None),
        (Access(valid_until=MONDAY), at(date(2026, 12, 1), 0), Denial.EXPIRED),
        (Access(schedule="gone"), NOON, Denial.NO_SUCH_SCHEDULE),
        (IN_OFFICE, at(MONDAY, 7, 59), Denial.OUTSIDE_HOURS),
        (IN_OFFICE, at(MONDAY, 8), None),
        (IN_OFFICE, at(MONDAY, 17, 59), None),
        (IN_OFFICE, at(MONDAY, 18), Denial.OUTSIDE_HOURS),
        (IN_OFFICE, at(date(2026, 12, 5), 12), Denial.OUTSIDE_HOURS),
        (IN_OFFICE, at(date(2026, 12, 1), 12), Denial.OUTSIDE_HOURS),
        (IN_OFFICE, at(date(2029, 12, 25), 12), Denial.OUTSIDE_HOURS),
    ],
)
def test_every_row_of_the_table(access: Access, time: LocalTime | None, expected: Denial | None) -> None:
    """As the docstring of schedule.py says it, with the minutes at both ends of a window."""
    answer = allowed(access, time, office(), Rule.FACE)
    assert answer == (Allowed(Rule.FACE) if expected is None else Denied(expected))


def test_a_window_gives_its_rule_and_the_first_of_two_wins() -> None:
    """What it takes in an hour stands with that hour; without it the configuration decides."""
    schedules = parsed(
        {
            "schedules": {
                "s": {
                    "windows": [
                        {"days": ["daily"], "from": "20:00", "to": "06:00", "rule": "face+pin"},
                        {"days": ["daily"], "from": "00:00", "to": "24:00"},
                    ]
                }
            }
        }
    )
    access = Access(schedule="s")
    assert allowed(access, at(MONDAY, 21), schedules, Rule.FACE_CARD) == Allowed(Rule.FACE_PIN)
    assert allowed(access, at(MONDAY, 12), schedules, Rule.FACE_CARD) == Allowed(Rule.FACE_CARD)


def test_a_night_that_begins_before_a_holiday_goes_on_into_it_and_one_of_the_holiday_does_not_begin() -> None:
    """A window belongs to the day it begins on."""
    night = {"days": ["weekdays"], "from": "22:00", "to": "02:00"}
    schedules = parsed({"holidays": ["2026-12-01"], "schedules": {"s": {"windows": [night]}}})
    tuesday = date(2026, 12, 1)
    assert current(schedules, "s", at(tuesday, 1, 59)) is not None
    assert current(schedules, "s", at(tuesday, 22)) is None
    assert current(schedules, "s", at(date(2026, 12, 2), 1)) is None


windows = st.builds(
    lambda days, begin, length: Window(days=days, begin=begin, end=(begin + length) % 1440 or 1440),
    st.frozensets(st.integers(0, 7)),
    st.integers(0, 1439),
    st.integers(1, 1439),
)
holidays = st.frozensets(st.tuples(st.none() | st.integers(2026, 2028), st.integers(1, 12), st.integers(1, 28)))
days = st.dates(date(2026, 1, 1), date(2028, 12, 31))


def is_open(window: Window, schedules: Schedules, day: date, minute: int) -> bool:
    """The oracle: walks through the minutes from each of the two days on which the window may have begun."""
    for begun in (day - timedelta(days=1), day):
        special = any((year, begun.month, begun.day) in schedules.holidays for year in (None, begun.year))
        if (7 if special else begun.weekday()) not in window.days:
            continue
        length = (window.end - window.begin) % 1440 or 1440
        since = minute + (1440 if begun < day else 0) - window.begin
        if 0 <= since < length:
            return True
    return False


@given(several=st.lists(windows, max_size=4), free=holidays, day=days, minute=st.integers(0, 1439))
def test_a_schedule_is_open_exactly_while_one_of_its_windows_is(
    several: list[Window], free: frozenset[tuple[int | None, int, int]], day: date, minute: int
) -> None:
    """Over midnight, over holidays, over the ends of years: by an oracle that counts the minutes since it began."""
    schedules = Schedules(windows={"s": tuple(several)}, holidays=free)
    found = current(schedules, "s", LocalTime(day=day, minute=minute, trusted=True))
    expected = [window for window in several if is_open(window, schedules, day, minute)]
    assert (found in expected) if expected else found is None


@given(several=st.lists(windows, max_size=3), day=days, minute=st.integers(0, 1439), access=st.builds(
    Access, valid_from=st.none() | days, valid_until=st.none() | days, schedule=st.sampled_from([None, "s", "gone"]),
    suspended=st.booleans(),
))  # fmt: skip
def test_without_a_trusted_clock_nobody_is_let_in_whom_it_takes_a_clock_to_let_in(
    several: list[Window], day: date, minute: int, access: Access
) -> None:
    schedules = Schedules(windows={"s": tuple(several)})
    answer = allowed(access, LocalTime(day=day, minute=minute, trusted=False), schedules, Rule.FACE)
    assert isinstance(answer, Denied) == (access.suspended or access.needs_clock)


moments = st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1))


@given(several=st.lists(windows, min_size=1, max_size=3), moment=moments)
def test_only_what_the_clock_on_the_wall_shows_decides(several: list[Window], moment: datetime) -> None:
    """Whatever daylight saving does: the same day and minute give the same answer, in summer and in winter time."""
    schedules = Schedules(windows={"s": tuple(several)})
    utc = moment.replace(tzinfo=UTC)
    shown = wall.local_time(utc, BERLIN, trusted=True)
    there = utc.astimezone(BERLIN)
    assert (shown.day, shown.minute) == (there.date(), there.hour * 60 + there.minute)
    expected = any(is_open(window, schedules, there.date(), there.hour * 60 + there.minute) for window in several)
    assert (current(schedules, "s", shown) is not None) == expected


def test_the_hour_that_is_skipped_does_not_happen_and_the_one_that_is_repeated_happens_twice() -> None:
    """The nights of 29 March and 25 October 2026 in Berlin, in real minutes."""
    schedules = parsed({"schedules": {"s": {"windows": [{"days": ["sun"], "from": "02:00", "to": "03:00"}]}}})

    def minutes_open(from_utc: datetime) -> int:
        times = (wall.local_time(from_utc + timedelta(minutes=n), BERLIN, trusted=True) for n in range(24 * 60))
        return sum(current(schedules, "s", time) is not None for time in times)

    assert minutes_open(datetime(2026, 3, 28, 23, tzinfo=UTC)) == 0
    assert minutes_open(datetime(2026, 10, 24, 22, tzinfo=UTC)) == 120
    assert minutes_open(datetime(2026, 6, 6, 22, tzinfo=UTC)) == 60


# ---- The clock


@pytest.mark.parametrize(
    ("file", "text"), [("sys/class/rtc/rtc0/hctosys", "1"), (clock.SYNCHRONISED, ""), ("the kernel knows", "")]
)
def test_one_clock_is_trusted_for_hours_ledger_and_health_alike_once_somebody_has_set_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, text: str
) -> None:
    """By the network, by a battery clock, or by another time service that has told the kernel."""
    monkeypatch.setattr(clock.wall_clock_is_set, "__kwdefaults__", {"assumed": False, "root": tmp_path})
    monkeypatch.setattr(clock, "_kernel_knows", lambda: (tmp_path / "the kernel knows").exists())

    def trusted(*, assumed: bool = False) -> set[bool]:
        health = MachineHealth(tmp_path, tmp_path, clock_assumed=assumed).read()
        return {
            wall.WallClock("Europe/Berlin", assumed=assumed).local_time().trusted,
            clock.moments(assumed=assumed)().trusted,
            judge(Trouble.CLOCK_NOT_TRUSTED, health, HealthConfig())[0] is Level.WELL,
        }

    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    if text:
        (tmp_path / file).write_text("0\n")
    assert trusted() == {False}
    assert trusted(assumed=True) == {True}
    (tmp_path / file).write_text(f"{text}\n")
    assert trusted() == {True}


def test_a_clock_in_the_past_is_never_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A battery clock whose battery is empty begins in 1970 or 2000."""
    monkeypatch.setattr(clock, "EARLIEST_SECONDS", 2**40)
    assert not wall.WallClock("", assumed=True).local_time().trusted
    assert not clock.moments(assumed=True)().trusted


# ---- The file


def test_the_shipped_example_is_read_and_every_word_of_it_is_known() -> None:
    schedules = load_schedules(REPO / "config" / "schedules.toml", FactorsConfig())
    assert set(schedules.windows) == {"office", "cleaners"}
    assert (None, 12, 25) in schedules.holidays


def test_no_file_is_no_schedules(tmp_path: Path) -> None:
    assert load_schedules(tmp_path / "none.toml", FactorsConfig()) == Schedules()


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"timezone": "Mars/Olympus"}, "timezone = 'Mars/Olympus': must be a name of the time zone database"),
        ({"holidays": ["2026-02-30"]}, "holidays.0 = '2026-02-30': must be a day in quotes"),
        ({"holiday": []}, "holiday: unknown key"),
        ({"schedules": {"a b": {"windows": []}}}, "schedules.a b = 'a b': String should match"),
        ({"days": ["someday"]}, "schedules.s.windows.0.days.0 = 'someday': Input should be 'mon', 'tue'"),
        ({"days": []}, "schedules.s.windows.0.days = []: List should have at least 1"),
        ({"from": "8:00"}, "schedules.s.windows.0.from = '8:00': must be a time of day in quotes"),
        ({"from": "24:00"}, 'schedules.s.windows.0: from must be before "24:00"'),
        ({"to": "24:01"}, "schedules.s.windows.0.to = '24:01': must be a time of day in quotes"),
        ({"to": "08:00"}, "schedules.s.windows.0: from and to must differ"),
        ({"rule": "pin"}, "schedules.s.windows.0.rule = 'pin': Input should be 'face', 'face+pin'"),
        ({"rule": "face+pin"}, "schedules.s.windows.0.rule = 'face+pin': needs a keypad"),
        ({"rule": "face+card"}, "schedules.s.windows.0.rule = 'face+card': needs a card reader"),
    ],
)
def test_a_fault_names_file_key_value_and_rule(document: dict[str, Any], expected: str) -> None:
    if not {"timezone", "holidays", "holiday", "schedules"} & set(document):
        window = {"days": ["mon"], "from": "08:00", "to": "18:00", **document}
        document = {"schedules": {"s": {"windows": [window]}}}
    with pytest.raises(ConfigError) as raised:
        parsed(document, FactorsConfig())
    assert f"schedules.toml: {expected}" in str(raised.value)
    assert "config/schedules.toml" in raised.value.hint


def test_all_faults_come_at_once(tmp_path: Path) -> None:
    path = tmp_path / "schedules.toml"
    path.write_text('timezone = "X/Y"\nholidays = ["soon"]\n[schedules.s]\nwindows = [{ days = ["mon"] }]\n')
    with pytest.raises(ConfigError) as raised:
        load_schedules(path, FactorsConfig())
    assert len(str(raised.value).splitlines()) == 4
    path.write_text("windows = [")
    with pytest.raises(ConfigError, match="not TOML"):
        load_schedules(path, FactorsConfig())
