"""What goes over the wires: the lock's level, the lamp, the button's edges."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class LockLevel(StrEnum):
    """What the lock is to hold, written anew on every turn of the loop so that a missed write is repaired."""

    LOCKED = "locked"
    UNLOCKED = "unlocked"


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
