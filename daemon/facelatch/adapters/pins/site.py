"""The wires of the site, through gpiozero: door contact, exit button, tamper and fire inputs, siren."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from facelatch.config.file import Config
from facelatch.values.wires import Signal, Wire


class GpioSite:
    """Whatever of these wires is configured. gpiozero's callback threads only take notes."""

    def __init__(
        self, config: Config, *, factory: Any = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        """Claims the siren silent and the inputs with a pull-up, and notes how each is found. Raises GpioError."""
        self._now, self._guard = now, threading.Lock()
        self._noted: deque[Signal] = deque()
        self._levels: dict[Wire, bool] = {}
        self._devices: list[Any] = []
        self._siren: Any = None
        try:
            self._claim_siren(config, factory)
            self._claim_inputs(config, factory)
        except BaseException:
            self.close()
            raise

    def signals(self) -> Sequence[Signal]:
        """What happened since the last call, in order; first of all how each input was found."""
        with self._guard:
            noted = tuple(self._noted)
            self._noted.clear()
            return noted

    def sound(self, on: bool) -> None:
        """Drives the siren. Raises GpioError."""
        if self._siren is None:
            return
        from facelatch.adapters.pins.errors import gpio_errors

        with gpio_errors(self._siren_pin):
            self._siren.value = on

    def close(self) -> None:
        """Silences the siren and releases the lines; never raises."""
        if self._siren is not None:
            with suppress(Exception):
                self._siren.off()
        for device in [self._siren, *self._devices]:
            if device is not None:
                with suppress(Exception):
                    device.close()

    def _claim_siren(self, config: Config, factory: Any) -> None:
        pin = config.outputs.siren_pin
        if pin == "none":
            return
        from facelatch.adapters.pins import factory as pin_factory
        from facelatch.adapters.pins.errors import OutputDevice, gpio_errors

        self._siren_pin = pin
        with gpio_errors(pin):
            self._siren = OutputDevice(
                pin,
                active_high=config.outputs.siren_active == "high",
                initial_value=False,
                pin_factory=factory or pin_factory.for_outputs(config.gpio),
            )

    def _claim_inputs(self, config: Config, factory: Any) -> None:
        inputs = config.inputs
        if not inputs.used:
            return
        from facelatch.adapters.pins import factory as pin_factory
        from facelatch.adapters.pins.errors import DigitalInputDevice, gpio_errors

        wanted = (
            (Wire.CONTACT, inputs.contact_pin, inputs.contact_open),
            (Wire.EXIT, inputs.exit_pin, inputs.exit_active),
            (Wire.TAMPER, inputs.tamper_pin, inputs.tamper_active),
            (Wire.FIRE, inputs.fire_pin, inputs.fire_active),
        )
        for wire, pin, active in wanted:
            if pin == "none":
                continue
            with gpio_errors(pin):
                factory = factory or pin_factory.for_inputs(config.gpio)
                bounce = inputs.bounce_seconds or None
                device = DigitalInputDevice(pin, pull_up=True, bounce_time=bounce, pin_factory=factory)
                self._devices.append(device)
                # With its pull-up gpiozero calls the low level active.
                device.when_activated = partial(self._note, wire, active == "low")
                device.when_deactivated = partial(self._note, wire, active == "high")
                self._note(wire, bool(device.is_active) == (active == "low"))

    def _note(self, wire: Wire, active: bool) -> None:
        with self._guard:
            if self._levels.get(wire) != active:
                self._levels[wire] = active
                self._noted.append(Signal(wire, active, self._now()))
