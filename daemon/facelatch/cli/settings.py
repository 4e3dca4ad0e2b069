"""What every command shares: where the configuration is, and how an answer is printed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facelatch.cli.output import echo

if TYPE_CHECKING:
    from facelatch.config.file import Config


DEFAULT_CONFIG = Path("/etc/facelatch/facelatch.toml")


def person_name(value: str) -> str:
    """A name from the command line, as text.

    In a locale without UTF-8 Python hands over bytes that it does not understand as lone surrogates.
    """
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        try:
            return os.fsencode(value).decode("utf-8")
        except UnicodeError:
            raise click.BadParameter(f"{value!a} is no text in UTF-8; `locale` shows what the terminal uses") from None
    return value


class Settings:
    """What every command shares: where the configuration is, loaded when first asked for."""

    def __init__(self, path: Path | None, *, as_json: bool) -> None:
        self.path, self.as_json = path, as_json

    def config(self) -> Config:
        """The configuration: --config, else the installed file, else the defaults. Raises ConfigError."""
        from facelatch.config.file import Config, load

        file = self.file()
        return Config() if file is None else load(file)

    def file(self) -> Path | None:
        """The file that `config` reads; None: the defaults."""
        return self.path or (DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None)

    def origin(self) -> str:
        """Where `config` reads from, for people."""
        return str(self.file() or "built-in defaults")

    def show(self, value: Any, text: str) -> None:
        """Prints `value` as one line of JSON with --json, in ASCII for every locale; else the lines of `text`."""
        for line in [json.dumps(value)] if self.as_json else text.split("\n"):
            echo(line)


def as_json(command: Any) -> Any:
    """The --json option, wherever a program might read."""

    def note(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
        ctx.find_root().obj.as_json |= value

    return click.option(
        "--json", is_flag=True, expose_value=False, callback=note, help="Print JSON, one object a line."
    )(command)
