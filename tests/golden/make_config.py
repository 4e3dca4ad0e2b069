"""Writes config/facelatch.toml from the schema, so that no key, bound, default or meaning is ever told twice.

    python tests/golden/make_config.py

Run it after a change of `facelatch/config`; a test fails until the file agrees.
"""

from __future__ import annotations

import json
import re
import textwrap
import types
import typing
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from facelatch.config.file import Config

FILE = Path(__file__).resolve().parents[2] / "config" / "facelatch.toml"

HEADER = """\
Facelatch, the daemon's configuration. Every key stands here with its meaning, unit, bounds and default;
a key left out has its default, a key not listed here is refused. `facelatch check` tries the file.
Keys that are commented out are unset unless you set them.
"""

UNITS = {"seconds": "Seconds", "px": "Pixels", "fps": "Per second", "degrees": "Degrees", "factor": "Times"}
UNITS |= {"mb": "MB", "celsius": "Degrees Celsius"}


def render() -> str:
    """The text of the file."""
    parts = [_comment(HEADER)]
    for name, field in Config.model_fields.items():
        section = typing.cast("type[BaseModel]", field.annotation)
        parts.append(f"\n\n[{name}]\n{_comment(section.__doc__ or '')}")
        parts += [_key(key, one) for key, one in section.model_fields.items()]
    return "".join(parts)


def _key(key: str, field: FieldInfo) -> str:
    unset = field.default is None
    default = "unset" if unset else _toml(field.default)
    facts = ". ".join(filter(None, [_unit(key), _values(field), f"Default: {default}"]))
    line = f"# {key} = 0.5\n" if unset else f"{key} = {_toml(field.default)}\n"
    return "\n" + _comment(field.description or "") + f"# {facts}.\n" + line


def _unit(key: str) -> str:
    return UNITS.get(key.rsplit("_", 1)[-1], "")


def _values(field: FieldInfo) -> str:
    """The allowed values in words: a choice, the bounds, or both."""
    literals = [kind for kind in _kinds(field.annotation) if typing.get_origin(kind) is typing.Literal]
    choices = [value for literal in literals for value in typing.get_args(literal)]
    bounds = dict(re.findall(r"(ge|gt|le|lt)=(-?[\d.]+)", repr([*field.metadata, field.annotation])))
    if len(bounds) < 2:
        return "One of " + ", ".join(map(_toml, choices)) if choices else ""
    low = f"From {bounds['ge']}" if "ge" in bounds else f"Above {bounds['gt']},"
    high = f"to {bounds['le']}" if "le" in bounds else f"below {bounds['lt']}"
    return ", or ".join([f"{low} {high}".replace(", to", ", up to"), *map(_toml, choices)])


def _kinds(annotation: object) -> list[object]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [kind for part in typing.get_args(annotation) for kind in _kinds(part)]
    return [annotation]


def _toml(value: object) -> str:
    return json.dumps(value)


def _comment(text: str) -> str:
    """Each paragraph as comment lines."""
    lines: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        lines += ["", *textwrap.wrap(" ".join(paragraph.split()), 104)]
    return "".join(f"# {line}".rstrip() + "\n" for line in lines[1:])


if __name__ == "__main__":
    FILE.write_text(render(), encoding="utf-8")
