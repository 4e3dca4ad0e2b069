"""`facelatch ledger`: the start key, and whether the rows are what was written."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facelatch.cli.output import echo
from facelatch.cli.settings import Settings, as_json
from facelatch.errors import InputError

if TYPE_CHECKING:
    from facelatch.audit.proof import Report
    from facelatch.config.file import Config


@click.group()
def ledger() -> None:
    """The chain of everything that was written down.

    Root's, as its files are: sudo facelatch ledger ...
    """


@ledger.command()
@click.option("--yes", is_flag=True, help="It is noted: do not ask.")
@as_json
@click.pass_obj
def init(settings: Settings, yes: bool) -> None:
    """Show the start key, once, and delete it here.

    Write it down and keep it away from this device: with it `ledger verify --start-key` proves that nothing was changed
    that was written before somebody broke in. Until it is noted and deleted it proves nothing. Makes the ledger where
    there is none yet; the daemon does so when it starts.
    """
    from facelatch.audit.chain import key_letters
    from facelatch.ledger import keyfile, tables
    from facelatch.ledger.tables import explained

    config = settings.config()
    directory = Path(config.storage.state_directory)
    if not (directory / tables.NAME).exists():
        _make(config, directory)
    with explained(directory / keyfile.START_NAME):
        key = keyfile.start_key(directory)
        if key is None:
            raise InputError(
                "the start key has been noted already and is kept nowhere here",
                hint=f"for a new one stop the daemon, move {directory / keyfile.NAME} away and start it again",
            )
        settings.show({"start_key": key_letters(key)}, f"start key: {key_letters(key)}")
        if yes or click.confirm("Written down? It is deleted here then", err=True):
            keyfile.forget_start_key(directory)
        else:
            echo("it stays here, and the log goes on warning of it", err=True)


def _make(config: Config, directory: Path) -> None:
    from facelatch.cli.asking import audited

    owner = directory.stat().st_uid if directory.exists() else os.geteuid()
    if owner != os.geteuid():
        raise InputError(f"{directory}: belongs to user {owner}", hint="start the daemon once: it makes the ledger")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with audited(config):
        pass


@ledger.command()
@click.option("--start-key", "letters", help="As `ledger init` showed it; `-` reads it from standard input.")
@click.option(
    "--anchor",
    "anchor_files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What was kept elsewhere: `journalctl EVENT=ledger.anchor -o json`, `facelatch status`, lines `SEQ HASH`.",
)
@click.option("--file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A copy of ledger.sqlite.")
@as_json
@click.pass_obj
def verify(settings: Settings, letters: str | None, anchor_files: tuple[Path, ...], file: Path | None) -> None:
    """Say which rows are proven to be what was written, and name the first that is not.

    Without a key or an anchor that is little: whoever can write the file can make all of it anew. An anchor proves the
    rows up to it, and that none was cut off before it. The start key proves what was written before somebody broke
    in. Exit code 1 when a row was changed, moved, removed or cut off.
    """
    from facelatch.audit.chain import key_of_letters
    from facelatch.audit.proof import anchors_in
    from facelatch.ledger import tables
    from facelatch.ledger.verifying import verified

    try:
        key = key_of_letters(sys.stdin.readline() if letters == "-" else letters) if letters is not None else None
    except ValueError as error:
        raise InputError(str(error), hint="as `facelatch ledger init` showed it") from error
    anchors = []
    for path in anchor_files:
        found = anchors_in(path.read_text(encoding="utf-8", errors="replace"))
        if not found:
            raise InputError(f"{path}: no anchor in it", hint="journalctl -t facelatch EVENT=ledger.anchor -o json")
        anchors += found
    path = file or Path(settings.config().storage.state_directory) / tables.NAME
    report, known = verified(path, key, anchors)
    if key is not None and not known:
        raise InputError("this start key is not of this ledger", hint="is it the right key, and this its ledger?")
    settings.show(asdict(report), _text(report, keyed=key is not None, anchored=bool(anchors)))
    sys.exit(1 if report.findings else 0)


def _text(report: Report, *, keyed: bool, anchored: bool) -> str:
    if report.last < report.first and not report.findings:
        return "no rows"
    lines = [f"rows          {report.first} to {report.last}"]
    if report.pruned_up_to:
        lines.append(f"pruned        1 to {report.pruned_up_to}, removed for their age")
    lines += [f"keyed         {first} to {last}, by the start key" for first, last in report.keyed]
    lines += [f"other key     {first} to {last}: none of their start key was given" for first, last in report.other_keys
              if keyed]  # fmt: skip
    if report.anchored_up_to >= report.first:
        lines.append(f"anchored      {report.first} to {report.anchored_up_to}")
    if report.anchored_up_to < report.last:
        first = max(report.first, report.anchored_up_to + 1)
        lines.append(f"not anchored  {first} to {report.last}: rows cut off at the end would not show")
    for finding in report.findings:
        lines.append(f"FAULT         {finding.what}")
    if not report.findings:
        proof = "every row follows from the one before"
        weak = "" if keyed or anchored else "; without a start key or an anchor that proves little"
        lines.append(f"ok            {proof}{weak}")
    return "\n".join(lines)


@ledger.command()
@as_json
@click.pass_obj
def status(settings: Settings) -> None:
    """Show how many rows there are, the last one's hash to keep elsewhere, and whether the start key is noted."""
    from facelatch.ledger import tables
    from facelatch.ledger.verifying import state

    found = state(Path(settings.config().storage.state_directory) / tables.NAME)
    rows: dict[str, Any] = {
        "rows": f"{found['first']} to {found['last']}" if found["last"] else "none",
        "last": f"seq {found['last']} hash {found['hash']}",
        "size": f"{found['bytes'] / 1e6:.1f} MB",
        "start key": "noted" if found["key_noted"] else "not noted yet: `sudo facelatch ledger init`",
    }
    settings.show(found, "\n".join(f"{key:<12} {value}" for key, value in rows.items()))
