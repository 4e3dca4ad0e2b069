"""The enrolment button, through gpiozero."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from facelatch.adapters.pins import factory as pin_factory
from facelatch.adapters.pins.errors import DigitalInputDevice, gpio_errors
from facelatch.config.wires import GpioConfig
from facelatch.values.wires import Edge, EdgeKind


class GpioButtons:
    """The enrolment button to ground, or none. gpiozero's callback thread only takes notes."""

    def __init__(
        self, config: GpioConfig, *, factory: Any = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        """Claims the line with a pull-up. A button that is down already is noted as found down. Raises GpioError."""
        self._now = now
        self._noted: deque[Edge] = deque()
        self._guard = threading.Lock()
        self._down = False
        self._device: Any = None
        if config.button_pin == "none":
            return
        with gpio_errors(config.button_pin):
            # gpiozero's Button is this class plus a thread that watches for holding, which we do ourselves.
            self._device = DigitalInputDevice(
                config.button_pin,
                pull_up=True,
                bounce_time=config.button_bounce_seconds or None,
                pin_factory=factory or pin_factory.for_inputs(config),
            )
            self._device.when_activated = self._pressed
            self._device.when_deactivated = self._released
            if self._device.is_active:
                self._note(True, EdgeKind.FOUND_DOWN)

    def edges(self) -> Sequence[Edge]:
        """What happened since the last call, in order; pressed (or found down at first) and released alternate."""
        with self._guard:
            noted = tuple(self._noted)
            self._noted.clear()
            return noted

    def close(self) -> None:
        """Releases the line; never raises."""
        if self._device is not None:
            with suppress(Exception):
                self._device.close()

    def _pressed(self) -> None:
        self._note(True, EdgeKind.PRESSED)

    def _released(self) -> None:
        self._note(False, EdgeKind.RELEASED)

    def _note(self, down: bool, kind: EdgeKind) -> None:
        with self._guard:
            if down != self._down:
                self._down = down
                self._noted.append(Edge(kind, self._now()))
