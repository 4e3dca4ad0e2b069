"""The hours of people, and the keypads and card readers, from the configuration."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from facelatch.config.file import Config
from facelatch.errors import ConfigError
from facelatch.ports import AuditSink, Clock, Reader
from facelatch.values.hours import Schedules

if TYPE_CHECKING:
    from facelatch.app.entrance import EntranceDesk, Openers
    from facelatch.gallery.store import GalleryStore
    from facelatch.sharing.membership import Membership


def build_entrance(
    config: Config,
    store: GalleryStore,
    clock: Clock,
    audit: AuditSink,
    *,
    readers: bool = True,
    member: Membership | None = None,
) -> EntranceDesk:
    """The hours, and the readers that the configuration names unless it is a rehearsal. Raises ConfigError.

    `member` is the door's part in a fleet, whose PINs and cards hold at every door.
    """
    from facelatch.adapters.system.wall import WallClock
    from facelatch.app.entrance import EntranceDesk
    from facelatch.app.free_hours import FreeHours
    from facelatch.app.guests import Guests
    from facelatch.config.schedules import load_schedules
    from facelatch.gallery.credentials import hasher

    schedules = load_schedules(Path(config.schedule.file), config.factors)
    name = free_schedule(config, schedules)
    shared = member.pepper if member is not None else None
    return EntranceDesk(
        store=store,
        audit=audit,
        clock=clock,
        wall=WallClock(schedules.timezone, assumed=config.schedule.clock_assumed),
        schedules=schedules,
        openers=reader_openers(config) if readers else {},
        hasher=cache(lambda: hasher(store.seal.pepper, Path(config.storage.state_directory), shared)),
        guests=Guests(config.schedule.warn_days),
        free=FreeHours(name, after_first=config.mode.free_after_first) if name else None,
    )


def free_schedule(config: Config, schedules: Schedules) -> str:
    """Which schedule there is free passage by; empty for none. Raises ConfigError when it is not in `schedules`."""
    name = config.mode.free_schedule
    if name and name not in schedules.windows:
        raise ConfigError(f"mode.free_schedule = {name!r}: not in {config.schedule.file}", hint="add it there")
    return name


def reader_openers(config: Config) -> Openers:
    """How each reader that the configuration names is opened; their libraries are imported when they are."""
    factors, openers = config.factors, dict[str, Callable[[], Reader]]()

    def wiegand() -> Reader:
        from facelatch.adapters.readers.wiegand import WiegandReader

        return WiegandReader(factors)

    def hid(path: str, device: str) -> Reader:
        from facelatch.adapters.readers.hid import HidReader

        return HidReader(path, device)

    if factors.wiegand_pins:
        openers["wiegand"] = wiegand
    if factors.hid_keypad:
        openers["hid_keypad"] = partial(hid, factors.hid_keypad, "keypad")
    if factors.hid_card_reader:
        openers["hid_card_reader"] = partial(hid, factors.hid_card_reader, "card")
    return openers
