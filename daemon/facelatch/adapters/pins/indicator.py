"""The LED or LEDs and the buzzer, through gpiozero."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from facelatch.adapters.pins import factory as pin_factory
from facelatch.adapters.pins.errors import OutputDevice, gpio_errors
from facelatch.config.wires import GpioConfig
from facelatch.errors import GpioError
from facelatch.values.wires import Lamp

_LEDS: dict[str, tuple[str, ...]] = {"none": (), "single": ("lit",), "rgb": ("red", "green", "blue")}


class GpioIndicator:
    """One LED or a red, a green and a blue one, and a buzzer: whatever of them is configured."""

    def __init__(self, config: GpioConfig, *, factory: Any = None) -> None:
        """Claims the lines dark and silent. Raises GpioError."""
        pins = dict(zip(_LEDS[config.led], config.led_pins, strict=False))
        if config.buzzer_pin != "none":
            pins["buzzer"] = config.buzzer_pin
        self._outputs: dict[str, Any] = {}
        self._pins = pins
        if pins and factory is None:
            with gpio_errors(next(iter(pins.values()))):
                factory = pin_factory.for_outputs(config)
        try:
            for name, pin in pins.items():
                with gpio_errors(pin):
                    self._outputs[name] = OutputDevice(
                        pin, active_high=config.led_active == "high", initial_value=False, pin_factory=factory
                    )
        except GpioError:
            self.close()
            raise

    def show(self, lamp: Lamp) -> None:
        """Drives every light and the buzzer as they should be at this instant. Raises GpioError."""
        for name, output in self._outputs.items():
            with gpio_errors(self._pins[name]):
                output.value = getattr(lamp, name)

    def close(self) -> None:
        """Everything off, then released; never raises."""
        for output in self._outputs.values():
            with suppress(Exception):
                output.off()
            with suppress(Exception):
                output.close()
