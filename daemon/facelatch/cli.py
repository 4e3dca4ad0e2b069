"""The `facelatch` command. Parses, calls, prints; decides nothing. Heavy imports happen inside the commands."""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facelatch import __version__
from facelatch.errors import FacelatchError

if TYPE_CHECKING:
    from facelatch.config.file import Config

DEFAULT_CONFIG = Path("/etc/facelatch/facelatch.toml")

EXIT_CODES = """
\b
Exit codes:
  0  done; for verify: matched
  1  refused: no match, or a check failed
  2  wrong usage of the command
  3  configuration   4  model     5  camera    6  pins
  7  gallery         8  already running        9  unusable input
  10 daemon not reachable                     70  internal error
"""


class _Lazy(click.Group):
    """A group whose larger commands live in modules of their own, imported when used."""

    elsewhere = {  # noqa: RUF012  (a constant)
        "people": "facelatch.cli_people",
        "enroll": "facelatch.cli_people",
        "verify": "facelatch.cli_try",
        "check": "facelatch.cli_try",
        "bench": "facelatch.cli_try",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self.elsewhere})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.elsewhere:
            return super().get_command(ctx, name)
        import importlib

        command: click.Command = getattr(importlib.import_module(self.elsewhere[name]), name)
        return command


class Settings:
    """What every command shares: where the configuration is, loaded when first asked for."""

    def __init__(self, path: Path | None, *, as_json: bool) -> None:
        self.path, self.as_json = path, as_json

    def config(self) -> Config:
        """The configuration: --config, else the installed file, else the defaults. Raises ConfigError."""
        from facelatch.config.file import Config, load

        if self.path is not None:
            return load(self.path)
        return load(DEFAULT_CONFIG) if DEFAULT_CONFIG.exists() else Config()

    def origin(self) -> str:
        """Where `config` reads from, for people."""
        return str(self.path or (DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else "built-in defaults"))

    def show(self, value: Any, text: str) -> None:
        """Prints `value` as one line of JSON with --json, else `text`."""
        click.echo(json.dumps(value, ensure_ascii=False) if self.as_json else text)


def as_json(command: Any) -> Any:
    """The --json option, wherever a program might read."""

    def note(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
        ctx.find_root().obj.as_json |= value

    return click.option(
        "--json", is_flag=True, expose_value=False, callback=note, help="Print JSON, one object a line."
    )(command)


@click.group(cls=_Lazy, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
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


@facelatch.command()
@click.option("--dry-run", is_flag=True, help="Fake pins: everything but the wires.")
@click.pass_obj
def run(settings: Settings, dry_run: bool) -> None:
    """Serve the door until stopped.

    The lock is locked on every way out. With --dry-run and camera.source = "files" in the configuration it
    runs on a desk, at the pace of the recording.
    """
    from facelatch.app import run

    run.run(settings.config(), origin=settings.origin(), dry_run=dry_run)


@facelatch.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@as_json
@click.option(
    "--speed", type=click.FloatRange(min=0.01), help="1 is real time; without it as fast as possible."
)
@click.option("--frames", is_flag=True, help="Also print a line for every frame.")
@click.pass_obj
def replay(settings: Settings, source: Path, speed: float | None, frames: bool) -> None:
    """Run the door on recorded frames: a folder of pictures or a video.

    The real loop, finder, model and a copy of the gallery, with fake pins and a virtual clock.
    Nothing it does is kept. Prints what the journal would say; with --json one event a line.
    """
    from facelatch import replay_lines
    from facelatch.app import replay
    from facelatch.cli_people import exported_people

    config = settings.config()

    def watch(turn: Any) -> None:
        for line in replay_lines.lines(turn, frames=frames, as_json=settings.as_json):
            click.echo(line)

    replay.replay(config, source, exported_people(config), pace=speed, watch=watch)


@facelatch.command()
@as_json
@click.pass_obj
def status(settings: Settings) -> None:
    """Ask the running daemon what the door is doing.

    Needs its control socket: be a member of control.group, usually facelatch.
    """
    from facelatch.control.client import ControlClient

    answer = ControlClient(Path(settings.config().control.socket)).ask({"action": "status"})
    settings.show(answer, _status_text(answer))


def _status_text(answer: dict[str, Any]) -> str:
    enrolment = answer["enrolment"]
    under_way = enrolment["state"]
    if enrolment["person"]:
        under_way += f", {enrolment['person']}"
    if enrolment["kept"]:
        under_way += f", {enrolment['kept']} of {enrolment['wanted']} images kept"
    if enrolment["reason"]:
        under_way += f": {enrolment['reason']} ({enrolment['hint']})"
    rows = {**answer, "enrolment": under_way}
    return "\n".join(f"{key:<12} {value}" for key, value in rows.items())


@facelatch.command()
@click.pass_obj
def relock(settings: Settings) -> None:
    """Drive the lock to its safe level and exit.

    systemd calls it after the daemon has ended, however it ended.
    """
    from facelatch.adapters.pins import factory, lock

    lock.relock(factory.remembered() or settings.config().gpio)


def main() -> None:
    """Runs the command line; errors become one line, a hint and their exit code. DEBUG=1 shows the traceback."""
    try:
        facelatch.main(prog_name="facelatch", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.exceptions.Exit as leaving:
        sys.exit(leaving.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except FacelatchError as error:
        _complain(str(error), error.hint)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader (`| head`) has gone; quiet the interpreter's own flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        _complain(f"internal error: {type(error).__name__}: {error}", "DEBUG=1 shows where; please report it")
        sys.exit(FacelatchError.exit_code)


def _complain(message: str, hint: str) -> None:
    if os.environ.get("DEBUG"):
        traceback.print_exc()
    click.echo(f"facelatch: {message}", err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)
