"""Machine: the door. It is locked unless a grant says otherwise, and then only for a while.

| state    | input                     | next                                                                |
|----------|---------------------------|---------------------------------------------------------------------|
| locked   | WAIT, LOCK                | locked                                                              |
| locked   | GRANT                     | unlocked for `unlock_seconds`, at most `max_unlock_seconds`         |
| unlocked | WAIT, before its end      | unlocked                                                            |
| unlocked | GRANT, before its end     | unlocked for `unlock_seconds` from now, but never past              |
|          |                           | `max_unlock_seconds` from when it was first unlocked                |
| unlocked | WAIT or GRANT, at its end | locked: it is locked for at least one turn between two unlockings   |
| unlocked | LOCK                      | locked                                                              |

LOCK is a fault, a shutdown or an enrolment.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from facelatch.values.wires import LockLevel

if TYPE_CHECKING:
    from facelatch.config.machines import DoorConfig


class Order(StrEnum):
    """What the controller asks of the door on one turn."""

    WAIT = "wait"
    GRANT = "grant"
    LOCK = "lock"


@dataclass(frozen=True, slots=True)
class Locked:
    """The bolt holds; only a grant changes that."""

    level = LockLevel.LOCKED


@dataclass(frozen=True, slots=True)
class Unlocked:
    """A grant holds the door unlocked until its time is over."""

    first: float
    """When it was first unlocked, monotonic seconds."""
    until: float
    """When it locks again."""

    level = LockLevel.UNLOCKED


Door = Locked | Unlocked


def is_over(door: Door, now: float) -> bool:
    """Whether an unlocked door has come to its end."""
    return isinstance(door, Unlocked) and not door.first <= now < door.until


def advance(door: Door, order: Order, now: float, settings: DoorConfig) -> Door:
    """The door's state after this turn's order and the time that has passed."""
    if order is Order.LOCK or is_over(door, now):
        return Locked()
    if order is Order.WAIT:
        return door
    first = door.first if isinstance(door, Unlocked) else now
    return Unlocked(first, min(now + settings.unlock_seconds, first + settings.max_unlock_seconds))
