"""What `facelatch check` says of schedules, of people with hours, and of keypads and card readers."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from facelatch.adapters.system.wall import WallClock
from facelatch.app import build_entrance
from facelatch.config.file import Config
from facelatch.config.schedules import load_schedules
from facelatch.errors import ConfigError, FacelatchError, GpioError

_HOURS = {"schedule", "valid_from", "valid_until"}


def schedules(config: Config, people: Sequence[dict[str, Any]]) -> str:
    """The schedules, and who has hours; `people` as `list` tells them.

    Raises ConfigError for a file with faults and for schedules that people have and the file has not, FacelatchError
    when the clock that it takes cannot be trusted.
    """
    path = Path(config.schedule.file)
    found = load_schedules(path, config.factors)
    access = {person["name"]: person.get("access", {}) for person in people}
    for name, one in access.items():
        if one.get("schedule", "") and one["schedule"] not in found.windows:
            raise ConfigError(
                f"{name} has the schedule {one['schedule']!r}, which is not in {path}: {name} is refused",
                hint=f"add it, or `facelatch people set {name} --no-schedule`",
            )
    build_entrance.free_schedule(config, found)
    held = [name for name, one in access.items() if _HOURS & one.keys()]
    clock = WallClock(found.timezone, assumed=config.schedule.clock_assumed).local_time()
    if held and not clock.trusted:
        raise FacelatchError(
            f"{len(held)} people with a schedule or a date are refused: nobody has set the clock since power-up",
            hint="network time (`timedatectl`) or a battery clock; for another time service schedule.clock",
        )
    trust = "trusted" if clock.trusted else "not trusted"
    return f"{len(found.windows)} schedules, {len(held)} people with hours, the clock is {trust}"


def readers(config: Config, *, open_them: bool) -> str:
    """The readers as they have to be connected; with `open_them` each is opened.

    Raises GpioError for one that cannot be, FacelatchError where PINs cannot be checked.
    """
    factors = config.factors
    wires = [
        "wiegand: " + ", ".join(f"DATA{n} on GPIO {pin}" for n, pin in enumerate(factors.wiegand_pins))
        if factors.wiegand_pins
        else "",
        f"keypad: {factors.hid_keypad}" if factors.hid_keypad else "",
        f"card reader: {factors.hid_card_reader}" if factors.hid_card_reader else "",
    ]
    named = [wire for wire in wires if wire]
    if not named:
        return "no keypad and no card reader"
    if factors.has_keypad and find_spec("argon2") is None:
        raise FacelatchError("PINs cannot be checked: argon2 is not installed", hint="pip install argon2-cffi")
    if open_them:
        for name, opened in build_entrance.reader_openers(config).items():
            try:
                opened().close()
            except OSError as error:
                hint = getattr(error, "hint", "") or "is it plugged in?"
                raise GpioError(f"factors.{name}: {error}", hint=hint) from error
    return f"{'; '.join(named)}; asks for {factors.rule}"
