"""The lock's line, through gpiozero with the pin factory named, never guessed.

Locked and unlocked become high and low here and nowhere else. A released line is driven by nobody (on the
Raspberry Pi kernel without `strict_gpiod` it keeps its last level): the wiring needs an external resistor
that pulls it to the safe side.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from facelatch.adapters.pins import factory as pin_factory
from facelatch.adapters.pins.errors import OutputDevice, gpio_errors
from facelatch.config.wires import GpioConfig
from facelatch.errors import GpioError
from facelatch.values.wires import LockLevel

LOCKED_IS_HIGH = {
    ("to_unlock", "high"): False,
    ("to_unlock", "low"): True,
    ("to_lock", "high"): True,
    ("to_lock", "low"): False,
}
"""(lock_energise, lock_active) -> whether the line is high while the door is locked: the safe level."""


class Timer(Protocol):
    """A `threading.Timer`."""

    daemon: bool

    def start(self) -> None: ...  # noqa: D102
    def cancel(self) -> None: ...  # noqa: D102


class GpioLock:
    """The lock line, with a hard ceiling on every unlocking kept by a timer of its own."""

    def __init__(
        self,
        config: GpioConfig,
        *,
        max_unlock_seconds: float,
        factory: Any = None,
        timer: Callable[[float, Callable[[], None]], Timer] = threading.Timer,
    ) -> None:
        """Claims the line at its safe level. Raises GpioError. `factory` is for tests."""
        self._pin = config.lock_pin
        self._locked_is_high = LOCKED_IS_HIGH[config.lock_energise, config.lock_active]
        self._max_unlock_seconds = max_unlock_seconds
        self._new_timer = timer
        self._guard = threading.RLock()
        self._ceiling: Timer | None = None
        self._unlockings = 0
        self._ceiling_fired = False
        self._refusing = False
        with gpio_errors(self._pin):
            self._line = OutputDevice(
                self._pin,
                initial_value=self._locked_is_high,
                pin_factory=factory or pin_factory.for_outputs(config),
            )

    @property
    def ceiling_fired(self) -> bool:
        """Whether the hard ceiling ended the last unlocking; true until the next one begins."""
        return self._ceiling_fired

    def set(self, level: LockLevel) -> None:
        """Drives the level. Raises GpioError.

        After the ceiling has fired, UNLOCKED keeps the line locked until LOCKED was asked for once.
        """
        with self._guard:
            if level is LockLevel.LOCKED:
                self._refusing = False
            unlock = level is LockLevel.UNLOCKED and not self._refusing
            if not unlock:
                self._stop_ceiling()
            elif self._ceiling is None:
                self._start_ceiling()  # before the line moves: unlocked without a timer must not happen
            self._drive(unlocked=unlock)

    def close(self) -> None:
        """Drives the safe level, then releases the line; never raises."""
        with self._guard:
            self._stop_ceiling()
            with suppress(Exception):
                self._drive(unlocked=False)
            with suppress(Exception):
                self._line.close()

    def _drive(self, *, unlocked: bool) -> None:
        with gpio_errors(self._pin):
            self._line.value = self._locked_is_high != unlocked

    def _start_ceiling(self) -> None:
        self._unlockings += 1
        this_one = self._unlockings
        timer = self._new_timer(self._max_unlock_seconds, lambda: self._on_ceiling(this_one))
        timer.daemon = True
        timer.start()
        self._ceiling = timer
        self._ceiling_fired = False

    def _stop_ceiling(self) -> None:
        if self._ceiling is not None:
            self._ceiling.cancel()
            self._ceiling = None

    def _on_ceiling(self, unlocking: int) -> None:
        """Runs in the timer's thread."""
        with self._guard:
            if self._ceiling is None or unlocking != self._unlockings:
                return  # locked in time; this call was already on its way
            self._ceiling = None
            self._ceiling_fired = self._refusing = True
            self._drive(unlocked=False)


def relock(config: GpioConfig, *, attempts: int = 10, pause: Callable[[float], None] = time.sleep) -> None:
    """Drives the lock's safe level once and lets go, for after the daemon has died.

    Tries for about a second, because a dying process may still hold the line. Raises GpioError.
    """
    for attempt in range(1, attempts + 1):
        try:
            GpioLock(config, max_unlock_seconds=0).close()
            return
        except GpioError:
            if attempt == attempts:
                raise
        # gpiozero holds the pin reserved for the device that was half made, until that one is collected.
        gc.collect()
        pause(0.1)
