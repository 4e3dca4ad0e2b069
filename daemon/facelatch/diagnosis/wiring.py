"""The wires as the configuration has them, drawn as text for `facelatch check`."""

from __future__ import annotations

from facelatch.config.file import Config

HEADER_PINS = {
    2: 3, 3: 5, 4: 7, 14: 8, 15: 10, 17: 11, 18: 12, 27: 13, 22: 15, 23: 16, 24: 18, 10: 19, 9: 21, 25: 22, 11: 23,
    8: 24, 7: 26, 0: 27, 1: 28, 5: 29, 6: 31, 12: 32, 13: 33, 19: 35, 16: 36, 26: 37, 20: 38, 21: 40,
}  # fmt: skip
"""GPIO number -> pin of the 40-pin header."""

_SERIAL_CONSOLE = (14, 15)


def drawing(config: Config) -> list[str]:
    """One line for each pin in use: the Pi on the left, what it is taken to be connected to on the right."""
    meanings = _meanings(config)
    lines = []
    for key, pin in sorted(config.pins(), key=lambda one: HEADER_PINS[one[1]]):
        arrow, meaning = meanings.get(key, ("--", ""))
        said = f"{key.partition('.')[2].rsplit('_', 1)[0]}: {meaning}".rstrip(": ")
        lines.append(f"pin {HEADER_PINS[pin]:>2}  GPIO {pin:>2} {arrow} {said}")
    return lines + _notes(config)


def _meanings(config: Config) -> dict[str, tuple[str, str]]:
    """Key -> which way it goes, and what is at its other end."""
    gpio, inputs, outputs = config.gpio, config.inputs, config.outputs
    unlocks = (gpio.lock_energise == "to_unlock") == (gpio.lock_active == "high")
    kind = "strike, locked without power" if gpio.lock_energise == "to_unlock" else "magnetic lock"
    high = {"high": "low", "low": "high"}
    return {
        "gpio.lock_pin": ("->", f"{kind}; {'high' if unlocks else 'low'} unlocks"),
        "gpio.heartbeat_pin": ("->", "monostable"),
        "gpio.led_pins": ("->", f"{gpio.led}; {gpio.led_active} lights it"),
        "gpio.buzzer_pin": ("->", f"{gpio.led_active} sounds it"),
        "gpio.button_pin": ("<-", "enrolment, to ground, inside"),
        "inputs.contact_pin": ("<-", f"door open = {inputs.contact_open}, shut = {high[inputs.contact_open]}"),
        "inputs.exit_pin": ("<-", f"pressed = {inputs.exit_active}; {_exit(config)}"),
        "inputs.tamper_pin": ("<-", f"case open = {inputs.tamper_active}"),
        "inputs.fire_pin": ("<-", f"panel releases = {inputs.fire_active}; its own relay cuts the lock's supply"),
        "factors.wiegand_pins": ("<-", "DATA0 is the first of factors.wiegand_pins; 3.3 V at most"),
        "outputs.siren_pin": ("->", f"{outputs.siren_active} sounds it, for {outputs.siren_seconds:g} s"),
    }


def _exit(config: Config) -> str:
    if config.exit.action == "unlock":
        return "Facelatch unlocks: for no escape route"
    return "heard only, its first contact opens in the lock's supply"


def _notes(config: Config) -> list[str]:
    notes = []
    if taken := [key for key, pin in config.pins() if pin in _SERIAL_CONSOLE]:
        notes.append(f"{', '.join(taken)}: 14 and 15 are the serial console, and toggle while the Pi starts")
    if config.inputs.contact_pin == "none":
        notes.append("no door contact: nobody is told of a door that is forced or held open")
    if config.inputs.exit_pin == "none" and config.inputs.contact_pin != "none":
        notes.append("no exit_pin: whoever leaves opens a door that counts as forced")
    if config.door.relock != "time":
        notes.append(f"locks when the door is {'shut' if config.door.relock == 'closed' else 'opened'} (door.relock)")
    if config.inputs.used and config.gpio.lock_energise == "to_unlock":
        notes.append("free passage energises the lock for as long as it lasts: is it made for continuous duty?")
    return notes
