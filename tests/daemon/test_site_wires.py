"""The wires of the site on mock pins, the lockdown on disk, the wiring as it is drawn, and pins that clash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gpiozero.pins.mock import MockFactory

from facelatch.adapters.pins.site import GpioSite
from facelatch.config.file import Config, parse
from facelatch.diagnosis.wiring import HEADER_PINS, drawing
from facelatch.errors import ConfigError, GalleryError
from facelatch.gallery.mode import ModeFile
from facelatch.values.wires import Signal, Wire


def config(**sections: Any) -> Config:
    inputs = {"contact_pin": 23, "exit_pin": 24, "fire_pin": 25, "bounce_seconds": 0.0}
    return parse({"inputs": inputs, "outputs": {"siren_pin": 16}} | sections, origin="test")


def test_each_input_is_told_as_it_is_found_and_then_as_it_changes() -> None:
    factory = MockFactory()
    factory.pin(24).drive_low  # noqa: B018  (made before it is claimed)
    site = GpioSite(config(), factory=factory, now=lambda: 5.0)
    assert site.signals() == (
        Signal(Wire.CONTACT, True, 5.0),  # pulled up: open
        Signal(Wire.EXIT, False, 5.0),
        Signal(Wire.FIRE, True, 5.0),
    )
    factory.pin(23).drive_low()
    factory.pin(24).drive_low()
    factory.pin(23).drive_high()
    assert site.signals() == (
        Signal(Wire.CONTACT, False, 5.0),
        Signal(Wire.EXIT, True, 5.0),
        Signal(Wire.CONTACT, True, 5.0),
    )
    assert site.signals() == ()
    site.close()


def test_the_siren_is_silent_as_it_is_claimed_and_as_it_is_released() -> None:
    factory = MockFactory()
    site = GpioSite(config(outputs={"siren_pin": 16, "siren_active": "low"}), factory=factory)
    levels = [factory.pin(16).state]
    site.sound(True)
    levels.append(factory.pin(16).state)
    site.sound(False)
    levels.append(factory.pin(16).state)
    site.close()
    assert levels == [1, 0, 1]


def test_without_wires_nothing_is_claimed() -> None:
    site = GpioSite(Config())
    site.sound(True)
    assert site.signals() == ()
    site.close()


def test_a_lockdown_is_on_disk_until_it_is_ended(tmp_path: Path) -> None:
    modes = ModeFile(tmp_path)
    assert not modes.load()
    modes.save(True)
    modes.save(True)
    assert ModeFile(tmp_path).load()
    assert (tmp_path / "lockdown").stat().st_mode & 0o777 == 0o600
    modes.save(False)
    modes.save(False)
    assert not ModeFile(tmp_path).load()


def test_a_lockdown_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="lockdown"):
        ModeFile(tmp_path / "not-there").save(True)


@pytest.mark.parametrize(
    "sections",
    [
        {"inputs": {"contact_pin": 17}},
        {"inputs": {"contact_pin": 5, "exit_pin": 5}},
        {"outputs": {"siren_pin": 22}},
        {"gpio": {"heartbeat_pin": 5}, "inputs": {"fire_pin": 5}},
    ],
)
def test_a_pin_of_two_devices_is_refused_whatever_sections_they_stand_in(sections: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"a pin of its own: GPIO \d+ is \S+ and \S+"):
        parse(sections, origin="test")


@pytest.mark.parametrize("relock", ["opened", "closed"])
def test_relocking_by_the_door_needs_its_contact(relock: str) -> None:
    with pytest.raises(ConfigError, match="needs a door contact"):
        parse({"door": {"relock": relock}}, origin="test")


def test_the_drawing_names_every_pin_in_use_with_what_is_at_its_end() -> None:
    lines = drawing(config(door={"relock": "closed"}))
    assert [line.split("  GPIO")[0] for line in lines if line.startswith("pin")] == [
        "pin 11", "pin 13", "pin 15", "pin 16", "pin 18", "pin 22", "pin 36",
    ]  # fmt: skip
    assert "pin 11  GPIO 17 -> lock: strike, locked without power; high unlocks" in lines
    assert "pin 16  GPIO 23 <- contact: door open = high, shut = low" in lines
    assert "locks when the door is shut (door.relock)" in lines
    assert sorted(HEADER_PINS) == list(range(28))


def test_the_drawing_says_what_is_missing_or_in_the_way() -> None:
    bare = drawing(Config())
    assert any("no door contact" in line for line in bare)
    odd = drawing(parse({"inputs": {"contact_pin": 14}}, origin="test"))
    assert any("serial console" in line for line in odd)
    assert any("counts as forced" in line for line in odd)
