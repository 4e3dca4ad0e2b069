"""The whole of `facelatch.toml`: reading it, and telling every fault in it at once."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError, model_validator

from facelatch.config.access import FactorsConfig, ScheduleConfig
from facelatch.config.console import ConsoleConfig
from facelatch.config.fleet import FleetConfig
from facelatch.config.health import HealthConfig
from facelatch.config.keeping import AuditConfig, RetentionConfig
from facelatch.config.line import CameraConfig, FinderConfig, ModelConfig, QualityConfig
from facelatch.config.liveness import LivenessConfig
from facelatch.config.machines import DoorConfig, EnrolmentConfig, SessionConfig
from facelatch.config.section import Section
from facelatch.config.service import ControlConfig, SealConfig, StorageConfig
from facelatch.config.site import ExitConfig, InputsConfig, ModeConfig, OutputsConfig
from facelatch.config.wires import GpioConfig
from facelatch.errors import ConfigError


class Config(Section):
    """The whole file."""

    camera: CameraConfig = CameraConfig()
    finder: FinderConfig = FinderConfig()
    quality: QualityConfig = QualityConfig()
    model: ModelConfig = ModelConfig()
    liveness: LivenessConfig = LivenessConfig()
    session: SessionConfig = SessionConfig()
    door: DoorConfig = DoorConfig()
    enrolment: EnrolmentConfig = EnrolmentConfig()
    gpio: GpioConfig = GpioConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    factors: FactorsConfig = FactorsConfig()
    storage: StorageConfig = StorageConfig()
    control: ControlConfig = ControlConfig()
    seal: SealConfig = SealConfig()
    console: ConsoleConfig = ConsoleConfig()
    fleet: FleetConfig = FleetConfig()
    health: HealthConfig = HealthConfig()
    audit: AuditConfig = AuditConfig()
    retention: RetentionConfig = RetentionConfig()
    inputs: InputsConfig = InputsConfig()
    exit: ExitConfig = ExitConfig()
    outputs: OutputsConfig = OutputsConfig()
    mode: ModeConfig = ModeConfig()

    @model_validator(mode="after")
    def _wires_fit(self) -> Self:
        """Every pin belongs to one device, whatever section names it."""
        users: dict[int, list[str]] = {}
        for name, pin in self.pins():
            users.setdefault(pin, []).append(name)
        if clashes := [f"GPIO {pin} is {' and '.join(names)}" for pin, names in users.items() if len(names) > 1]:
            raise ValueError(f"every device needs a pin of its own: {'; '.join(clashes)}")
        if self.door.relock != "time" and self.inputs.contact_pin == "none":
            raise ValueError(f"door.relock = {self.door.relock!r} needs a door contact: inputs.contact_pin")
        if self.liveness.ask != "never" and self.gpio.led == "none" and self.gpio.buzzer_pin == "none":
            raise ValueError(f"liveness.ask = {self.liveness.ask!r} needs something to ask by: gpio.led or buzzer_pin")
        return self

    def pins(self) -> list[tuple[str, int]]:
        """Every pin in use with its key, from all sections: keys that end in _pin or _pins."""
        found: list[tuple[str, int]] = []
        for section in type(self).model_fields:
            values: Section = getattr(self, section)
            for key in type(values).model_fields:
                if key.endswith(("_pin", "_pins")) and not (key == "led_pins" and self.gpio.led == "none"):
                    value = getattr(values, key)
                    pins = value if isinstance(value, list | tuple) else [value]
                    found += [(f"{section}.{key}", pin) for pin in pins if pin != "none"]
        return found


def in_force(config: Config) -> list[dict[str, Any]]:
    """Every key with its `section` and `value`, and whether it was `set` or is the default."""
    return [
        {"section": name, "key": key, "value": value, "set": key in getattr(config, name).model_fields_set}
        for name, section in config.model_dump(mode="json").items()
        for key, value in section.items()
    ]


def load(path: Path) -> Config:
    """The configuration in `path`. Raises ConfigError that lists every fault with key, value, rule and hint."""
    try:
        # "-sig": editors of Windows put a byte order mark in front.
        document: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}",
            hint="name the file with --config, or copy config/facelatch.toml there",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(
            f"{path}: not TOML: {error}", hint="strings need quotes, keys need `= value`"
        ) from error
    return parse(document, origin=str(path))


def parse(document: dict[str, Any], *, origin: str) -> Config:
    """The configuration in a parsed TOML document; `origin` names it in errors. Raises ConfigError."""
    try:
        return Config.model_validate(document)
    except ValidationError as error:
        faults = [_sentence(origin, dict(fault)) for fault in error.errors()]
        hint = "every key is explained in config/facelatch.toml; `facelatch check` tries the file"
        raise ConfigError("\n".join(faults), hint=hint) from error


_RULES = {
    "int_type": "must be a whole number, without quotes or decimal point",
    "float_type": "must be a number, without quotes",
    "bool_type": "must be true or false, without quotes",
    "string_type": 'must be text, in "quotes"',
    "list_type": "must be a list, in [brackets]",
    "dict_type": "must be a table, in {braces}",
}
"""What pydantic calls the wrong type, in the words of TOML."""


def _sentence(origin: str, fault: dict[str, Any]) -> str:
    location: tuple[str | int, ...] = fault["loc"]
    key = ".".join(map(str, location))
    if fault["type"] == "extra_forbidden":
        return f"{origin}: {key}: unknown key{_nearest(location)}"
    if fault["type"] == "model_type":
        return f"{origin}: {key} = {fault['input']!r}: must be a section, [{key}]"
    rule = _RULES.get(fault["type"]) or fault["msg"].removeprefix("Value error, ")
    if not key or isinstance(fault["input"], dict):
        return f"{origin}: {key + ': ' if key else ''}{rule}"
    return f"{origin}: {key} = {fault['input']!r}: {rule} ({_meaning(location)})"


def _meaning(location: tuple[str | int, ...]) -> str:
    """The docstring of the key at fault: `section, key` and, in a list, a number."""
    section: Any = Config.model_fields[str(location[0])].annotation
    # One line: in several a part of it would read as another fault.
    return " ".join(str(section.model_fields[location[1]].description).split()).rstrip(".")


def _nearest(location: tuple[str | int, ...]) -> str:
    section: Any = Config
    for part in location[:-1]:
        section = section.model_fields[part].annotation
    close = difflib.get_close_matches(str(location[-1]), section.model_fields, n=1)
    return f" (did you mean {close[0]!r}?)" if close else f" (known here: {', '.join(section.model_fields)})"
