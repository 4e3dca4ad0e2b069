"""The section of the pins."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from facelatch.config.section import OptionalPin, Pin, Section


class GpioConfig(Section):
    """The wires. Pin numbers are GPIO (BCM) numbers."""

    pin_factory: Literal["lgpio", "mock"] = "lgpio"
    """Named, never guessed. mock drives nothing and is for trials on a desk."""
    lock_pin: Pin = 17
    """The relay or driver of the lock. GPIO 9 to 27 are pulled down at power-up, 0 to 8 up."""
    lock_energise: Literal["to_unlock", "to_lock"] = "to_unlock"
    """to_unlock: electric strike (locked without power). to_lock: magnetic lock."""
    lock_active: Literal["high", "low"] = "high"
    """The level that energises: many relay boards are active low."""
    heartbeat_pin: OptionalPin = "none"
    """Beats ten times a second while unlocked, for a monostable between pin and lock; "none" when there is none."""
    led: Literal["none", "single", "rgb"] = "single"
    """What indicator is connected."""
    led_pins: Annotated[list[Pin], Field(max_length=3)] = [27]  # noqa: RUF012  (pydantic copies it)
    """One pin, or red, green, blue."""
    led_active: Literal["high", "low"] = "high"
    """The level that lights it."""
    buzzer_pin: OptionalPin = "none"
    """Optional buzzer, same polarity as the LED; "none" when there is none."""
    button_pin: OptionalPin = 22
    """The enrolment button, to ground; "none" when there is none."""
    button_bounce_seconds: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Contact bounce that is ignored."""

    @model_validator(mode="after")
    def _pins_fit(self) -> Self:
        wanted = {"none": 0, "single": 1, "rgb": 3}[self.led]
        if self.led != "none" and len(self.led_pins) != wanted:
            raise ValueError(f"led_pins must name {wanted} pin(s) for led = {self.led!r}")
        used = [self.lock_pin, *(self.led_pins if wanted else [])]
        used += [pin for pin in (self.heartbeat_pin, self.buzzer_pin, self.button_pin) if pin != "none"]
        if len(used) != len(set(used)):
            raise ValueError(f"every device needs a pin of its own, got {used}")
        return self
