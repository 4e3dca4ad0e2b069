"""What the machine around the daemon says of itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at the machine. None, wherever it does not tell: a laptop knows nothing of its supply's voltage."""

    answers: bool = True
    """False when the look itself does not come to an end, as on a disk that hangs."""
    under_voltage: bool | None = None
    throttled: bool | None = None
    """Whether the firmware holds the processor back, for its heat or its supply."""
    temperature_celsius: float | None = None
    """Of the processor."""
    free_mb: int | None = None
    """Free space where the gallery lies, for whoever is not root."""
    read_only: bool | None = None
    """Whether that file system is mounted so; ext4 turns so when its disk fails."""
    card_errors: int | None = None
    """Errors that the ext4 file systems have counted since they were last checked."""
    wall_seconds: float | None = None
    """Unix time, as the system believes."""
    clock_set: bool | None = None
    """Whether the clock was set since power-up, by a time server or from a clock with a battery."""
    swap_mb: int | None = None
    """Memory that has gone to swap."""
