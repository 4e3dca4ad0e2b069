"""`facelatch history`: who came when, why not, how the door moved."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from facelatch.audit.spreadsheet import cell
from facelatch.cli.asking import ask
from facelatch.cli.output import echo
from facelatch.cli.settings import Settings, as_json

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

_COLUMNS = ("seq", "time", "clock_set", "event", "person", "text")


def _time(_ctx: click.Context, _option: click.Parameter, value: str | None) -> float | None:
    """Unix time of `2026-11-27`, `2026-11-27T18:00`, `today`, `yesterday`, or `90m`, `2h`, `3d`, `1w` ago."""
    if value is None:
        return None
    now = datetime.now().astimezone()
    ago = re.fullmatch(r"(\d{1,5})([mhdw])", value)
    try:
        if ago:
            return (now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})).timestamp()
        if value in ("today", "yesterday"):
            midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
            return (midnight - timedelta(days=value == "yesterday")).timestamp()
        return max(0.0, datetime.fromisoformat(value).astimezone().timestamp())
    except (ValueError, OverflowError) as error:
        raise click.BadParameter("give a date, a date with a time, today, yesterday, or 90m, 2h, 3d, 1w") from error


@click.command()
@click.option("--since", callback=_time, help="From then on: 2026-11-27, 2026-11-27T18:00, today, yesterday, 2h, 3d.")
@click.option("--until", callback=_time, help="Until then.")
@click.option("--person", help="Only what has to do with NAME; or with #7, who may be forgotten already.")
@click.option("--refused", is_flag=True, help="Only why somebody did not come in.")
@click.option("--last", type=click.IntRange(1), help="At most so many. Without it 100, or all with --since.")
@click.option(
    "--collected",
    type=click.Path(dir_okay=False, path_type=Path),
    help="From this file, in which `facelatch fleet collect` has the logs of all doors.",
)
@click.option("--door", help="Of the collected ones only this door.")
@click.option("--csv", "as_csv", is_flag=True, help="Print a table for a spreadsheet.")
@as_json
@click.pass_obj
def history(
    settings: Settings,
    since: float | None,
    until: float | None,
    person: str | None,
    refused: bool,
    last: int | None,
    collected: Path | None,
    door: str | None,
    as_csv: bool,
) -> None:
    """Show who came when, why not, and how the door moved.

    From the ledger, the oldest first. For root, and whoever has the right `history`; with --collected for whoever may
    read that file. A `~` before a time: the clock had not been set by then.
    """
    if as_csv and settings.as_json:
        raise click.UsageError("give either --csv or --json")
    if door is not None and collected is None:
        raise click.UsageError("--door goes with --collected")
    limits = {"since": since, "until": until, "person": person, "refused": refused}
    request = {key: value for key, value in limits.items() if value is not None}
    most = last if last is not None else None if since is not None else 100
    if collected is None:
        found = list(_events(settings, {"action": "history", **request}, most))[::-1]
    else:
        from facelatch.cli.collected import events

        found = list(events(collected, request, door, most))[::-1]
    if as_csv:
        for line in _table(found, _COLUMNS if collected is None else ("door", *_COLUMNS)):
            echo(line)
        return
    for event in found:
        echo(json.dumps(event) if settings.as_json else _line(event))
    if not found and not settings.as_json:
        echo("nothing was written down of that")


def _events(settings: Settings, request: dict[str, Any], most: int | None) -> Iterator[dict[str, Any]]:
    """The newest first, at most so many; None: all."""
    config, before = settings.config(), None
    while most is None or most > 0:
        page = {"most": min(most, 250)} if most is not None else {}
        reply = ask(config, {**request, **page, **({"before": before} if before is not None else {})})
        yield from reply["events"]
        most = most - len(reply["events"]) if most is not None else None
        before = reply["next"]
        if before is None:
            return


def _line(event: dict[str, Any]) -> str:
    when = datetime.fromisoformat(event["time"].replace("Z", "+00:00")).astimezone()
    door = f"{event['door']:<12}  " if "door" in event else ""
    return f"{' ' if event['clock_set'] else '~'}{when:%Y-%m-%d %H:%M:%S}  {door}{event['text']}"


def _table(events: list[dict[str, Any]], columns: tuple[str, ...]) -> Iterator[str]:
    """Lines of CSV."""
    for row in [list(columns), *([cell(event[column]) for column in columns] for event in events)]:
        text = io.StringIO()
        csv.writer(text, lineterminator="").writerow(row)
        yield text.getvalue()
