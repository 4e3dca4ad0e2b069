"""Sections for who may come when, and for what it takes besides a face."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from facelatch.config.section import Pin, Section


class ScheduleConfig(Section):
    """Who may come when. Nothing of it holds for people without a date and without a schedule."""

    file: str = "/etc/facelatch/schedules.toml"
    """Schedules by name, holidays and the time zone; config/schedules.toml explains it. No such file: none."""
    clock: Literal["checked", "assumed"] = "checked"
    """checked: the time is trusted once systemd-timesyncd has set it, or the kernel took it from a battery clock.
    assumed: always, for another time service. Without a trusted clock people with a date or a schedule are refused."""
    warn_days: Annotated[int, Field(ge=0, le=60)] = 3
    """How many days before somebody's last one an event says so, once a day; 0 says nothing."""

    @property
    def clock_assumed(self) -> bool:
        """Whether the clock on the wall is trusted unasked."""
        return self.clock == "assumed"


class FactorsConfig(Section):
    """A second factor: a PIN or a card besides the face, and the readers for them.

    PINs are kept as argon2id hashes, PINs and cards with a key of this device, so that a copied gallery tells neither.
    """

    rule: Literal["face", "face+pin", "face+card", "card+pin"] = "face"
    """What it takes to come in; a window in schedules.toml may ask for something else."""
    without_camera: Literal["none", "card+pin"] = "none"
    """What lets people in while the camera is broken."""
    pin_seconds: Annotated[float, Field(ge=3, le=120)] = 15.0
    """How long the door waits for the next key, or for the card."""
    tries: Annotated[int, Field(ge=1, le=10)] = 3
    """Wrong ones before the face is asked for again. Each counts as a refused attempt, as a stranger's face does."""
    min_pin_digits: Annotated[int, Field(ge=4, le=12)] = 6
    """The fewest digits of a new PIN; the most are 12."""
    wiegand_pins: Annotated[list[Pin], Field(max_length=2)] = []  # noqa: RUF012  (pydantic copies it)
    """DATA0 and DATA1 of a Wiegand keypad or card reader (26 or 34 bits), through a divider or opto-couplers: its 5 V
    destroy a pin. Not 14 and 15, the serial console. Empty: there is none."""
    hid_keypad: str = ""
    """A USB keypad, as its path under /dev/input/by-id or by-path; empty: there is none. Nobody else gets its keys."""
    hid_card_reader: str = ""
    """A USB card reader that types the number and Enter, likewise."""

    @model_validator(mode="after")
    def _reader_fits(self) -> Self:
        if self.wiegand_pins and len(set(self.wiegand_pins)) != 2:
            raise ValueError("wiegand_pins must name two different pins, DATA0 and DATA1, or none")
        if set(self.wiegand_pins) & {14, 15}:
            raise ValueError("wiegand_pins must not be 14 or 15: the serial console talks there")
        if self.hid_keypad and self.hid_keypad == self.hid_card_reader:
            raise ValueError("hid_keypad and hid_card_reader must be two devices")
        for key, rule in (("rule", self.rule), ("without_camera", self.without_camera)):
            if "pin" in rule and not self.has_keypad:
                raise ValueError(f"{key} = {rule!r} needs a keypad: wiegand_pins or hid_keypad")
            if "card" in rule and not self.has_card_reader:
                raise ValueError(f"{key} = {rule!r} needs a card reader: wiegand_pins or hid_card_reader")
        return self

    @property
    def has_keypad(self) -> bool:
        """Whether a PIN can be entered."""
        return bool(self.wiegand_pins or self.hid_keypad)

    @property
    def has_card_reader(self) -> bool:
        """Whether a card can be read."""
        return bool(self.wiegand_pins or self.hid_card_reader)
