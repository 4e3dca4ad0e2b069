"""`facelatch fleet collect` and `collected`: one log of all doors, and how it stands."""

from __future__ import annotations

import importlib.util
import sys
import time
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facelatch import __version__
from facelatch.cli.settings import Settings, as_json
from facelatch.errors import InputError, NotInstalledError

if TYPE_CHECKING:
    from facelatch.ledger.collected import CollectedDoor

FILE = Path("/var/lib/facelatch-collect/collected.sqlite")

_file = click.option(
    "--file", type=click.Path(dir_okay=False, path_type=Path), default=FILE, show_default=True, help="The one log."
)


@click.command()
@_file
@click.option("--ca", default="", help="PEM file of who vouches for the broker; instead of [fleet]'s.")
@click.option("--certificate", default="", help="PEM file; instead of [fleet]'s, which is a door's own.")
@click.option("--key", default="", help="PEM file with its key.")
@click.option("--days", type=click.IntRange(0), help="How long rows are kept; 0: for good. Else as [retention] says.")
@click.pass_obj
def collect(settings: Settings, file: Path, ca: str, certificate: str, key: str, days: int | None) -> None:
    """Take the logs of all doors from the broker into one file, until stopped.

    facelatch-collect.service does this.

    \b
    On each door [fleet] log = true, and the right `ledger` for the bridge; here [fleet] broker, port and ca say where.
    Whatever is wrong with a door's log is printed, and `facelatch fleet collected` goes on telling it.
    """
    from facelatch.fleet.settings import of_values
    from facelatch.ledger.collected import Collected

    config = settings.config()
    if not config.fleet.broker:
        raise InputError("there is no broker", hint="[fleet] broker in facelatch.toml")
    if bool(certificate) != bool(key):
        raise click.UsageError("--certificate and --key belong together")
    if importlib.util.find_spec("paho") is None:
        raise NotInstalledError("the bridge's library is not installed: paho-mqtt", hint="as for `facelatch bridge`")
    from facelatch.fleet.collector import MOST_BYTES, TOPICS, Collector
    from facelatch.fleet.log import PRESENCE
    from facelatch.fleet.subscriber import Service, serve

    ours = {"socket": "", "state_directory": "", "version": __version__}
    told = of_values({**config.fleet.model_dump(), **ours})
    if certificate:
        told = replace(told, certificate=certificate, key=key)
    if ca:
        told = replace(told, ca=ca)
    kept = config.retention.events_days if days is None else days
    with closing(Collected(file, kept)) as store:
        collector = Collector(store, lambda: round(time.time() * 1000))
        service = Service(client_id="facelatch-collector", topics=TOPICS, presence=PRESENCE, most_bytes=MOST_BYTES)
        serve(told, service, collector.answer)


@click.command()
@_file
@click.option("--door", help="Only this one.")
@as_json
@click.pass_obj
def collected(settings: Settings, file: Path, door: str | None) -> None:
    """Show how the log of each door stands, and what is wrong with it.

    \b
    Each line is an anchor: `facelatch ledger verify --anchor FILE` at the door finds by it what was cut off there.
      facelatch fleet collected --door front > front.anchor
    Exit code 1 when rows were altered, cut off, made anew or never came.
    """
    from facelatch.ledger import collected as reading

    with reading.reading(file) as connection:
        found = [one for one in reading.doors(connection) if door in (None, one.name)]
    if door is not None and not found:
        raise InputError(f"no door is called {door!r} here", hint="`facelatch fleet collected` shows all")
    lines = [line for one in found for line in _lines(one)] or ["no doors"]
    settings.show([_told(one) for one in found], "\n".join(lines))
    sys.exit(1 if any(one.findings for one in found) else 0)


def _told(door: CollectedDoor) -> dict[str, Any]:
    head = {"seq": door.head.seq, "hash": door.head.hash.hex()}
    return {"door": door.name, "rows": door.rows, **head, "heard": door.heard_ms / 1000, "findings": [*door.findings]}


def _lines(door: CollectedDoor) -> list[str]:
    heard = datetime.fromtimestamp(door.heard_ms / 1000).astimezone()
    line = f"{door.name:<16} {door.rows:>9} rows  seq {door.head.seq} hash {door.head.hash.hex()}"
    return [f"{line}  {heard:%Y-%m-%d %H:%M:%S}", *(f"  FAULT  {finding}" for finding in door.findings)]
