"""What a door far away dies of is told once when it begins and once when it is over, and holds up nobody."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facelatch.adapters import fakes
from facelatch.adapters.system.health import MachineHealth
from facelatch.app import health as app_health
from facelatch.app.health import HealthWatch
from facelatch.audit.events import EventKind
from facelatch.config.health import HealthConfig
from facelatch.machines.health import (
    CLOCK_PATIENCE_SECONDS,
    HINTS,
    Change,
    Health,
    Level,
    Trouble,
    Watched,
    advance,
    judge,
)
from facelatch.values.health import Reading
from facelatch.values.hours import EARLIEST_SECONDS

SETTINGS = HealthConfig(settle_seconds=60.0)
WELL = Reading(
    under_voltage=False,
    throttled=False,
    temperature_celsius=50.0,
    free_mb=5000,
    read_only=False,
    card_errors=0,
    wall_seconds=EARLIEST_SECONDS + 1.0,
    clock_set=True,
    swap_mb=0,
)
HOT = replace(WELL, temperature_celsius=85.0)
BETWEEN = replace(WELL, temperature_celsius=77.0)
UNKNOWN = replace(WELL, temperature_celsius=None)


def after(*looks: tuple[float, Reading]) -> tuple[Health, list[Change]]:
    """The state after looks at these times, and all changes on the way."""
    health, changes = Health(), list[Change]()
    for at, reading in looks:
        health = advance(health, reading, at, SETTINGS)
        changes += health.changes
    return health, changes


# ---- The machine, row by row


def test_a_trouble_is_told_when_it_begins_and_not_again():
    health, changes = after((0.0, WELL), (2.0, HOT), (4.0, HOT), (6.0, HOT))
    assert changes == [Change(trouble=Trouble.HOT, measured="85 degrees Celsius")]
    assert health.troubles == (Trouble.HOT,)


def test_it_is_over_after_having_been_well_for_a_while():
    health, changes = after((0.0, HOT), (10.0, WELL), (69.0, WELL), (70.0, WELL), (72.0, WELL))
    assert changes[1:] == [Change(trouble=Trouble.HOT, measured="50 degrees Celsius", lasted=70.0)]
    assert health == Health()


@pytest.mark.parametrize("reading", [HOT, BETWEEN, UNKNOWN], ids=["ill", "between the limits", "not known"])
def test_what_comes_in_between_begins_the_while_anew(reading: Reading):
    health, changes = after((0.0, HOT), (10.0, WELL), (60.0, reading), (62.0, WELL), (110.0, WELL))
    assert len(changes) == 1
    assert health.watched == {Trouble.HOT: Watched(since=0.0, told=True, well_from=62.0)}


def test_between_the_limits_nothing_begins():
    assert after((0.0, BETWEEN), (500.0, BETWEEN)) == (Health(), [])


def test_a_clock_gets_time_to_be_set_after_power_up():
    unset = replace(WELL, clock_set=False)
    assert after((0.0, unset), (CLOCK_PATIENCE_SECONDS - 1, unset), (CLOCK_PATIENCE_SECONDS, WELL)) == (Health(), [])
    health, _ = after((0.0, unset), (CLOCK_PATIENCE_SECONDS, unset))
    assert health.troubles == (Trouble.CLOCK_NOT_TRUSTED,)


ILL: dict[Trouble, list[tuple[dict[str, Any], dict[str, Any]]]] = {
    Trouble.UNDER_VOLTAGE: [({"under_voltage": True}, {"under_voltage": False})],
    Trouble.THROTTLED: [({"throttled": True}, {"throttled": False})],
    Trouble.HOT: [({"temperature_celsius": 80.0}, {"temperature_celsius": 74.9})],
    Trouble.LITTLE_SPACE: [({"free_mb": 199}, {"free_mb": 250})],
    Trouble.CARD_ERRORS: [
        ({"card_errors": 1}, {"card_errors": 0}),
        ({"read_only": True}, {"read_only": False}),
        ({"answers": False}, {"answers": True, "card_errors": None}),
    ],
    Trouble.CLOCK_NOT_TRUSTED: [
        ({"clock_set": False}, {"clock_set": True}),
        ({"wall_seconds": 3600.0}, {"clock_set": None}),
    ],
    Trouble.SWAP_IN_USE: [({"swap_mb": 100}, {"swap_mb": 50})],
}
"""Of each trouble what is just ill, and what is just well."""


@pytest.mark.parametrize("trouble", Trouble)
def test_each_trouble_has_its_limits_a_hint_and_words(trouble: Trouble):
    for ill, well in ILL[trouble]:
        level, measured = judge(trouble, replace(WELL, **ill), SETTINGS)
        assert (level, bool(measured)) == (Level.ILL, True)
        assert judge(trouble, replace(WELL, **well), SETTINGS)[0] is Level.WELL
        assert after((0.0, replace(WELL, **ill)), (1000.0, replace(WELL, **ill)))[0].troubles == (trouble,)
    assert HINTS[trouble]


def test_a_machine_that_tells_nothing_has_no_troubles():
    assert {judge(trouble, Reading(), SETTINGS)[0] for trouble in Trouble} == {Level.UNKNOWN}


NUMBERS = st.none() | st.integers(0, 10**6)
READINGS = st.builds(
    Reading,
    answers=st.booleans(),
    under_voltage=st.none() | st.booleans(),
    throttled=st.none() | st.booleans(),
    temperature_celsius=st.none() | st.floats(),
    free_mb=NUMBERS,
    read_only=st.none() | st.booleans(),
    card_errors=NUMBERS,
    wall_seconds=st.none() | st.floats(),
    clock_set=st.none() | st.booleans(),
    swap_mb=NUMBERS,
)


@given(st.lists(st.tuples(st.floats(0, 200), READINGS), max_size=20))
def test_whatever_is_read_beginnings_and_ends_take_turns(looks: list[tuple[float, Reading]]):
    """One event each way, for every trouble."""
    now, health, told = 0.0, Health(), set[Trouble]()
    for later, reading in looks:
        now += later
        health = advance(health, reading, now, SETTINGS)
        for change in health.changes:
            assert (change.trouble in told) == (change.lasted is not None)
            told ^= {change.trouble}
        assert set(health.troubles) == told


# ---- Reading the machine


@pytest.fixture
def machine(tmp_path: Path) -> Callable[..., Reading]:
    """Reads a made tree of /sys, /proc and /run: names and what is in them."""

    def read(files: dict[str, str]) -> Reading:
        for name, text in files.items():
            file = tmp_path / "root" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return MachineHealth(tmp_path, tmp_path / "root").read()

    return read


PI = {
    "sys/class/hwmon/hwmon0/name": "cpu_thermal\n",
    "sys/class/hwmon/hwmon1/name": "rpi_volt\n",
    "sys/class/hwmon/hwmon1/in0_lcrit_alarm": "0\n",
    "sys/devices/platform/soc/soc:firmware/get_throttled": "0\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "61234\n",
    "sys/class/thermal/thermal_zone1/type": "battery\n",
    "sys/class/thermal/thermal_zone1/temp": "99000\n",
    "sys/fs/ext4/mmcblk0p2/errors_count": "0\n",
    "sys/fs/ext4/sda1/errors_count": "2\n",
    "sys/class/rtc/rtc0/hctosys": "0\n",
    "run/systemd/timesync/synchronized": "",
    "proc/meminfo": "MemTotal: 1 kB\nSwapTotal:      524284 kB\nSwapFree:       324284 kB\n",
}


def test_a_pi_tells_everything(machine: Callable[..., Reading]):
    found = machine(PI)
    assert (found.under_voltage, found.throttled, found.temperature_celsius) == (False, False, 61.234)
    assert (found.card_errors, found.clock_set, found.swap_mb) == (2, True, 204)
    assert found.free_mb is not None
    assert found.free_mb > 0
    assert found.read_only is False
    assert abs((found.wall_seconds or 0) - time.time()) < 60


@pytest.mark.parametrize(
    ("bits", "low", "held"),
    [("1", True, False), ("2", False, True), ("4", False, True), ("8", False, True), ("50005", True, True),
     ("f0000", False, False), ("0x1", True, False)],
)  # fmt: skip
def test_of_the_firmwares_bits_those_of_now_count(
    machine: Callable[..., Reading], bits: str, low: bool, held: bool
):
    """Those of what has been since power-up would never be over."""
    found = machine({**PI, "sys/devices/platform/soc/soc:firmware/get_throttled": f"{bits}\n"})
    assert (found.under_voltage, found.throttled) == (low, held)


def test_the_kernels_alarm_is_enough_for_an_under_voltage(machine: Callable[..., Reading]):
    assert machine({**PI, "sys/class/hwmon/hwmon1/in0_lcrit_alarm": "1\n"}).under_voltage is True


def test_a_machine_without_these_files_tells_nothing(machine: Callable[..., Reading]):
    found = machine({})
    assert replace(found, wall_seconds=None, free_mb=None, read_only=None, clock_set=None) == Reading()


@given(st.text(alphabet="0123456789abcxyz -.\n", max_size=12))
def test_nonsense_in_the_files_is_not_known(text: str):
    """A driver of another kernel may write what it likes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("facelatch.adapters.system.health._text", lambda _path: text.strip())
        MachineHealth(Path("/"), Path("/")).read()


# ---- Beside the loop


class Looks:
    """What the thread reads next; `hang` keeps it in its look."""

    def __init__(self) -> None:
        self.reading, self.count, self.go_on = WELL, 0, threading.Event()
        self.waits = False
        self.go_on.set()

    def __call__(self) -> Reading:
        reading = self.reading
        self.waits = not self.go_on.is_set()
        self.go_on.wait(10)
        self.count += 1
        return reading


@pytest.fixture
def watched() -> Iterator[tuple[HealthWatch, Looks, fakes.FakeAudit, fakes.FakeClock]]:
    looks, audit, clock = Looks(), fakes.FakeAudit(), fakes.FakeClock()
    settings = HealthConfig.model_construct(**{**HealthConfig().model_dump(), "interval_seconds": 0.001})
    watch = HealthWatch(looks, settings, audit, clock)
    yield watch, looks, audit, clock
    looks.go_on.set()
    watch.close()


def until(holds: Callable[[], bool]) -> None:
    for _ in range(5000):
        if holds():
            return
        time.sleep(0.001)
    raise AssertionError("never")


def test_the_audit_and_the_status_tell_what_the_thread_has_found(
    watched: tuple[HealthWatch, Looks, fakes.FakeAudit, fakes.FakeClock],
):
    watch, looks, audit, clock = watched

    def told(kind: EventKind) -> bool:
        watch.turn()
        return kind in [event.kind for event in audit.events]

    looks.reading = replace(HOT, clock_set=False)
    until(lambda: told(EventKind.HEALTH_DEGRADED))
    assert watch.view() == {
        "troubles": ["hot"], "under_voltage": False, "throttled": False, "temperature_celsius": 85.0,
        "free_mb": 5000, "card_errors": 0, "clock_trusted": False, "swap_mb": 0,
    }  # fmt: skip
    looks.reading = WELL
    seen = looks.count
    until(lambda: looks.count > seen + 1)
    watch.turn()
    clock.advance(300.0)
    until(lambda: told(EventKind.HEALTH_RESTORED))
    assert [event.fields["REASON"] for event in audit.events] == ["hot", "hot"]
    assert watch.view()["troubles"] == []


def test_a_disk_that_hangs_holds_up_nobody_and_is_told_after_a_minute(
    watched: tuple[HealthWatch, Looks, fakes.FakeAudit, fakes.FakeClock],
):
    watch, looks, audit, clock = watched
    looks.go_on.clear()
    until(lambda: looks.waits)
    seen = looks.count
    began = time.monotonic()
    clock.advance(1.0)
    watch.turn()
    clock.advance(app_health.SILENT_SECONDS)
    watch.turn()
    assert time.monotonic() - began < 1.0
    assert looks.count == seen
    (event,) = audit.events
    assert (event.fields["REASON"], event.fields["MEASURED"]) == ("card_errors", "the disk does not answer")
    assert event.fields["HINT"] == HINTS[Trouble.CARD_ERRORS]
