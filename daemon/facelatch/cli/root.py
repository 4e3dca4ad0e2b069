"""The `facelatch` command. Finds the command that was asked for, and turns errors into words and exit codes."""

from __future__ import annotations

import io
import os
import sys
import traceback
from pathlib import Path
from typing import NoReturn

import click

from facelatch import __version__
from facelatch.cli.lazy import LazyGroup
from facelatch.cli.output import echo, give_up, never_fail
from facelatch.cli.settings import DEFAULT_CONFIG, Settings
from facelatch.errors import ConfigError, FacelatchError, InputError
from facelatch.private_files import what_to_do

EXIT_CODES = """
\b
Exit codes:
  0  done; for verify: matched
  1  refused: no match, or a check failed
  2  wrong usage of the command
  3  configuration   4  model     5  camera    6  pins
  7  gallery         8  already running        9  unusable input
  10 daemon not reachable         11 model failed while running
  12 not allowed (control.rights)  13 ledger
  70 internal error
"""


class _Facelatch(LazyGroup):
    elsewhere = {  # noqa: RUF012  (a constant)
        "run": "facelatch.cli.door",
        "replay": "facelatch.cli.door",
        "status": "facelatch.cli.door",
        "lockout": "facelatch.cli.door",
        "mode": "facelatch.cli.site",
        "alarm": "facelatch.cli.site",
        "aim": "facelatch.cli.site",
        "relock": "facelatch.cli.door",
        "lock-arguments": "facelatch.cli.door",
        "people": "facelatch.cli.people",
        "seal": "facelatch.cli.seal",
        "enroll": "facelatch.cli.enroll",
        "bridge": "facelatch.cli.bridge",
        "console": "facelatch.cli.console",
        "fleet": "facelatch.cli.fleet",
        "verify": "facelatch.cli.diagnosis",
        "check": "facelatch.cli.diagnosis",
        "bench": "facelatch.cli.diagnosis",
        "history": "facelatch.cli.history",
        "ledger": "facelatch.cli.ledger",
    }


@click.group(cls=_Facelatch, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    envvar="FACELATCH_CONFIG",
    help=f"Configuration file. Without it {DEFAULT_CONFIG}, or the defaults when that does not exist.",
)
@click.pass_context
def facelatch(ctx: click.Context, path: Path | None) -> None:
    """A door that knows its people.

    \b
    First steps:
      facelatch check                      is everything connected?
      facelatch enroll alice --images DIR  let somebody in
      facelatch verify photo.jpg           why would the door open, or not?
      facelatch replay CLIP                the whole door on recorded frames
      facelatch run                        the door itself (systemd does this)
    """
    ctx.obj = Settings(path, as_json=False)


def main() -> None:
    """Runs the command line; errors become one line, a hint and their exit code. DEBUG=1 shows the traceback."""
    never_fail()
    try:
        facelatch.main(prog_name="facelatch", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.exceptions.Exit as leaving:
        sys.exit(leaving.exit_code)
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        for line in shown.getvalue().splitlines():
            echo(line, err=True)
        sys.exit(error.exit_code)
    except FacelatchError as error:
        _complain(str(error), error.hint, several=isinstance(error, ConfigError))
        sys.exit(error.exit_code)
    except BrokenPipeError:
        give_up()  # the reader (`| head`) has gone
        sys.exit(0)
    except OSError as error:
        if error.filename is None:
            _internal(error)
        _complain(f"{error.filename}: {error.strerror or error}", what_to_do(error))
        sys.exit(InputError.exit_code)
    except Exception as error:
        _internal(error)


def _internal(error: Exception) -> NoReturn:
    _complain(f"internal error: {type(error).__name__}: {error}", "DEBUG=1 shows where; please report it")
    sys.exit(FacelatchError.exit_code)


def _complain(message: str, hint: str, *, several: bool = False) -> None:
    if os.environ.get("DEBUG"):
        traceback.print_exc()
    # A configuration has several faults, each on its line; elsewhere a line break comes from a name.
    for number, line in enumerate(message.split("\n") if several else [message]):
        echo(line if number else f"facelatch: {line}", err=True)
    if hint:
        echo(f"hint: {hint}", err=True)
