"""`facelatch fleet`: several doors and one log."""

from __future__ import annotations

import click

from facelatch.cli.lazy import LazyGroup


class _Fleet(LazyGroup):
    elsewhere = {  # noqa: RUF012  (a constant)
        "collect": "facelatch.cli.fleet_collect",
        "collected": "facelatch.cli.fleet_collect",
    }


@click.group(cls=_Fleet)
def fleet() -> None:
    """Several doors, and one log of them all."""
