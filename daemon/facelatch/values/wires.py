"""What goes over the wires: the lock's level, the lamp, the button's edges, the inputs of the site."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class LockLevel(StrEnum):
    """What the lock is to hold, written anew on every turn of the loop so that a missed write is repaired."""

    LOCKED = "locked"
    UNLOCKED = "unlocked"
    FREE = "free"
    """Unlocked for free passage: without the ceiling of one unlocking, but for as long only as it is asked for."""


@dataclass(frozen=True, slots=True)
class Lamp:
    """What the indicator shows at this instant."""

    red: bool = False
    green: bool = False
    blue: bool = False
    buzzer: bool = False

    @property
    def lit(self) -> bool:
        """Whether a single plain LED, which knows no colours, is on."""
        return self.red or self.green or self.blue


class EdgeKind(StrEnum):
    """The kinds of change of the button's line."""

    FOUND_DOWN = "found_down"
    """It was down already when its line was claimed."""
    PRESSED = "pressed"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Edge:
    """A change of the button, debounced by the adapter."""

    kind: EdgeKind
    at: float
    """Monotonic seconds."""


class Wire(StrEnum):
    """The inputs of the site; the value is the beginning of its keys in `[inputs]`."""

    CONTACT = "contact"
    EXIT = "exit"
    TAMPER = "tamper"
    FIRE = "fire"


@dataclass(frozen=True, slots=True)
class Signal:
    """An input of the site was found at a level as its line was claimed, or came to it; debounced by the adapter."""

    wire: Wire
    active: bool
    """The door is open, the exit button is pressed, the case is open, the fire panel releases the doors."""
    at: float
    """Monotonic seconds."""
