"""Machine: looks at the machine around the daemon -> its troubles, each told once when it begins and once when it ends.

| trouble      | reading                                | next                                      |
|--------------|----------------------------------------|-------------------------------------------|
| none         | ill                                    | suspected                                 |
| suspected    | ill for as long as its patience        | told: it begins                           |
| suspected    | anything else                          | none                                      |
| told         | well                                   | getting well                              |
| getting well | well for `settle_seconds`              | none: it is over                          |
| getting well | ill, between the limits, or not known  | told                                      |

Each trouble has two limits: ill from the one, well from the other. What the machine does not tell changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from facelatch.values.hours import EARLIEST_SECONDS

if TYPE_CHECKING:
    from facelatch.config.health import HealthConfig
    from facelatch.values.health import Reading

CLOCK_PATIENCE_SECONDS = 120.0
"""A machine that has just started needs a while to hear from a time server."""

_COOLER_CELSIUS, _MORE_FREE, _LESS_SWAP = 5.0, 1.25, 0.5
"""How far from the limit of ill that of well lies."""


class Trouble(StrEnum):
    """What may be wrong; the value is the audit's REASON."""

    UNDER_VOLTAGE = "under_voltage"
    THROTTLED = "throttled"
    HOT = "hot"
    LITTLE_SPACE = "little_space"
    CARD_ERRORS = "card_errors"
    CLOCK_NOT_TRUSTED = "clock_not_trusted"
    SWAP_IN_USE = "swap_in_use"


class Level(StrEnum):
    """What a reading says of one trouble."""

    ILL = "ill"
    BETWEEN = "between"
    WELL = "well"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Watched:
    """A trouble that is suspected, or was told."""

    since: float
    """When it was first seen, monotonic seconds."""
    told: bool = False
    well_from: float | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A trouble that begins, or is over."""

    trouble: Trouble
    measured: str
    """In words, with its unit."""
    lasted: float | None = None
    """Seconds, of one that is over."""


@dataclass(frozen=True, slots=True)
class Health:
    """How the machine is, and what has just changed."""

    watched: Mapping[Trouble, Watched] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """Those that were told and are not over."""
        return tuple(trouble for trouble, one in self.watched.items() if one.told)


def advance(health: Health, reading: Reading, now: float, settings: HealthConfig) -> Health:
    """The state after one look at the machine at `now`, monotonic seconds."""
    watched, changes = dict(health.watched), []
    for trouble in Trouble:
        level, measured = judge(trouble, reading, settings)
        before, one = watched.pop(trouble, None), None
        if level is not Level.UNKNOWN or before is None:
            one = _next(before, level, now, _PATIENCE.get(trouble, 0.0), settings.settle_seconds)
        else:  # was it told, it is not over by being unknown
            one = replace(before, well_from=None) if before.told else None
        if one is not None:
            watched[trouble] = one
        if one is not None and one.told and not (before is not None and before.told):
            changes.append(Change(trouble=trouble, measured=measured))
        elif one is None and before is not None and before.told:
            changes.append(Change(trouble=trouble, measured=measured, lasted=now - before.since))
    return Health(watched, tuple(changes))


def _next(before: Watched | None, level: Level, now: float, patience: float, settle: float) -> Watched | None:
    if before is None or not before.told:
        if level is not Level.ILL:
            return None
        since = now if before is None else before.since
        return Watched(since=since, told=now - since >= patience)
    if level is not Level.WELL:
        return replace(before, well_from=None)
    well_from = now if before.well_from is None else before.well_from
    return None if now - well_from >= settle else replace(before, well_from=well_from)


def judge(trouble: Trouble, reading: Reading, settings: HealthConfig) -> tuple[Level, str]:
    """What a reading says of one trouble, and what was measured, in words."""
    return _JUDGES[trouble](reading, settings)


def _between(value: float, ill: bool, well: bool, text: str) -> tuple[Level, str]:
    return (Level.ILL if ill else Level.WELL if well else Level.BETWEEN), text.format(value)


def _yes_or_no(value: bool | None, ill: str, well: str) -> tuple[Level, str]:
    if value is None:
        return Level.UNKNOWN, ""
    return (Level.ILL, ill) if value else (Level.WELL, well)


def _under_voltage(reading: Reading, _settings: HealthConfig) -> tuple[Level, str]:
    return _yes_or_no(reading.under_voltage, "the supply's voltage is too low", "the supply's voltage is right")


def _throttled(reading: Reading, _settings: HealthConfig) -> tuple[Level, str]:
    return _yes_or_no(reading.throttled, "the processor is held back", "the processor runs freely")


def _hot(reading: Reading, settings: HealthConfig) -> tuple[Level, str]:
    found, limit = reading.temperature_celsius, settings.temperature_celsius
    if found is None:
        return Level.UNKNOWN, ""
    return _between(found, found >= limit, found < limit - _COOLER_CELSIUS, "{:.0f} degrees Celsius")


def _little_space(reading: Reading, settings: HealthConfig) -> tuple[Level, str]:
    found, limit = reading.free_mb, settings.free_mb
    if found is None:
        return Level.UNKNOWN, ""
    return _between(found, found < limit, found >= limit * _MORE_FREE, "{} MB free")


def _card_errors(reading: Reading, _settings: HealthConfig) -> tuple[Level, str]:
    if not reading.answers:
        return Level.ILL, "the disk does not answer"
    if reading.read_only:
        return Level.ILL, "the gallery's file system is read-only"
    if reading.card_errors is None:
        return (Level.UNKNOWN, "") if reading.read_only is None else (Level.WELL, "the disk answers")
    return _between(reading.card_errors, reading.card_errors > 0, True, "{} errors of the file system")


def _clock(reading: Reading, _settings: HealthConfig) -> tuple[Level, str]:
    if reading.wall_seconds is None:
        return Level.UNKNOWN, ""
    if reading.wall_seconds < EARLIEST_SECONDS:
        return Level.ILL, "the clock was never set"
    if reading.clock_set is False:
        return Level.ILL, "no time server has set the clock since power-up"
    return Level.WELL, "the clock is set"


def _swap(reading: Reading, settings: HealthConfig) -> tuple[Level, str]:
    found, limit = reading.swap_mb, settings.swap_mb
    if found is None:
        return Level.UNKNOWN, ""
    return _between(found, found >= limit, found <= limit * _LESS_SWAP, "{} MB in swap")


_JUDGES: Mapping[Trouble, Callable[[Reading, HealthConfig], tuple[Level, str]]] = {
    Trouble.UNDER_VOLTAGE: _under_voltage,
    Trouble.THROTTLED: _throttled,
    Trouble.HOT: _hot,
    Trouble.LITTLE_SPACE: _little_space,
    Trouble.CARD_ERRORS: _card_errors,
    Trouble.CLOCK_NOT_TRUSTED: _clock,
    Trouble.SWAP_IN_USE: _swap,
}

_PATIENCE = {Trouble.CLOCK_NOT_TRUSTED: CLOCK_PATIENCE_SECONDS}

HINTS: Mapping[Trouble, str] = {
    Trouble.UNDER_VOLTAGE: "use the Pi's own supply and a short cable, and feed the lock from another one",
    Trouble.THROTTLED: "cool the board and look at its supply; until then frames take longer",
    Trouble.HOT: "cool the board: out of the sun, a heat sink, a case with openings",
    Trouble.LITTLE_SPACE: "free some space: `df -h`, `journalctl --vacuum-size=100M`; without any nobody is enrolled",
    Trouble.CARD_ERRORS: "make an export, look at `dmesg`, and replace the card soon",
    Trouble.CLOCK_NOT_TRUSTED: "`timedatectl`; the door works, but times in the log may be wrong: give it a network "
    "or a clock with a battery; for another time service schedule.clock",
    Trouble.SWAP_IN_USE: "something takes more memory than there is: `free -m`, `systemd-cgtop -m`",
}
"""What a person can do about it."""
