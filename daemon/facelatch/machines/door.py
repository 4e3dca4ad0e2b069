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
| locked   | HOLD                      | locked                                                              |
| unlocked | HOLD                      | unlocked until `max_unlock_seconds` from when it was first unlocked |

GRANT comes from the session, or from an exit button whose `action` is "unlock". LOCK is a fault, a shutdown, an
enrolment, a mode, or a door that has just been shut or opened (`relock`). HOLD is for a bolt while the door is open.
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
    HOLD = "hold"


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
    if order is Order.HOLD and isinstance(door, Unlocked):
        longest = Unlocked(door.first, door.first + settings.max_unlock_seconds)
        return Locked() if is_over(longest, now) else longest
    if order is Order.LOCK or is_over(door, now):
        return Locked()
    if order is not Order.GRANT:
        return door
    first = door.first if isinstance(door, Unlocked) else now
    return Unlocked(first, min(now + settings.unlock_seconds, first + settings.max_unlock_seconds))
