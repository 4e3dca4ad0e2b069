"""Sections for the site around the lock: inputs, exit button, outputs, modes. All of it may be missing."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from facelatch.config.section import OptionalPin, Section

Level = Literal["high", "low"]


class InputsConfig(Section):
    """The wires that come in besides the enrolment button. Each pin is pulled up; a contact to ground makes it low."""

    contact_pin: OptionalPin = "none"
    """The door contact, for example a reed: whether the door is open; "none" when there is none."""
    contact_open: Level = "high"
    """The level while the door is open. high: a contact to ground that is closed while the door is shut."""
    exit_pin: OptionalPin = "none"
    """A second contact of the exit button, by which the door hears that somebody leaves. See [exit]."""
    exit_active: Level = "low"
    """The level while it is pressed."""
    tamper_pin: OptionalPin = "none"
    """The contact of the case: opening it is an alarm."""
    tamper_active: Level = "high"
    """The level while the case is open."""
    fire_pin: OptionalPin = "none"
    """A contact of the fire panel, which itself releases the lock: here it only silences the alarms and is told."""
    fire_active: Level = "high"
    """The level while the panel releases the doors."""
    bounce_seconds: Annotated[float, Field(ge=0, le=0.05)] = 0.02
    """Contact bounce that is ignored. A contact that still chatters is ignored for a while, and that is told."""

    @property
    def used(self) -> bool:
        """Whether any of them is connected."""
        return any(pin != "none" for pin in (self.contact_pin, self.exit_pin, self.tamper_pin, self.fire_pin))


class ExitConfig(Section):
    """What the exit button does. The way out must never depend on a program: deploy/README.md has the drawing."""

    action: Literal["shunt", "unlock"] = "shunt"
    """shunt: the button opens by its own contact in the lock's supply, and Facelatch only hears it, so that the door
    does not count as forced. unlock: Facelatch unlocks; only for a door that is no escape route."""
    in_lockdown: Literal["shunt", "unlock"] = "shunt"
    """The same during a lockdown."""


class OutputsConfig(Section):
    """What sounds. The buzzer of [gpio] sounds too, and warns before a door is held open."""

    siren_pin: OptionalPin = "none"
    """The driver of a siren; "none" when there is none."""
    siren_active: Level = "high"
    """The level that makes it sound."""
    siren_seconds: Annotated[float, Field(ge=1, le=3600)] = 180.0
    """For how long a forced or held door, or an opened case, sounds it; `facelatch alarm --acknowledge` ends it."""


class ModeConfig(Section):
    """What the modes allow; `facelatch mode` changes the mode."""

    lockdown_admins: bool = False
    """Whether admins are let in during a lockdown."""
    free_seconds: Annotated[float, Field(ge=60, le=86_400)] = 3600.0
    """How long free passage by command lasts where the command does not say. A strike must be made for continuous
    duty: not every one is."""
    free_schedule: str = ""
    """A schedule of schedules.toml in whose windows there is free passage, if the clock is trusted; empty: none."""
    free_after_first: bool = False
    """Whether free passage by schedule waits until somebody was let in: a door that opens itself on a day when nobody
    comes stands open for anybody."""
