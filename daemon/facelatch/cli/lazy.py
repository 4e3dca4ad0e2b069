"""A group whose commands live in modules of their own, imported when used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import ClassVar

import click


class LazyGroup(click.Group):
    """A subclass says which module has which command, under its name with `_` for `-`."""

    elsewhere: ClassVar[Mapping[str, str]] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in order."""
        return sorted({*super().list_commands(ctx), *self.elsewhere})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of this name; None: there is none."""
        if name not in self.elsewhere:
            return super().get_command(ctx, name)
        command: click.Command = getattr(importlib.import_module(self.elsewhere[name]), name.replace("-", "_"))
        return command
