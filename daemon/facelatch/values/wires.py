"""What goes over the wires: the lock's level, the lamp, the button's edges."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class LockLevel(StrEnum):
    """The level the lock is told on every turn of the loop."""

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
        """For a single plain LED."""
        return self.red or self.green or self.blue


class EdgeKind(StrEnum):
    """What happened to the button."""

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
