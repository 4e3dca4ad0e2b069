"""`facelatch run`, `replay`, `status` and `relock`: the door itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from facelatch.cli.settings import Settings, as_json


@click.command()
@click.option("--dry-run", is_flag=True, help="Fake pins: everything but the wires.")
@click.pass_obj
def run(settings: Settings, dry_run: bool) -> None:
    """Serve the door until stopped.

    The lock is locked on every way out. With --dry-run and camera.source = "files" in the configuration it
    runs on a desk, at the pace of the recording.
    """
    from facelatch.app.run import run as serve

    serve(settings.config(), origin=settings.origin(), dry_run=dry_run)


@click.command()
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
    from facelatch.app.replay import replay as replay_frames
    from facelatch.cli import replay_lines
    from facelatch.cli.asking import exported_people

    config = settings.config()

    def watch(turn: Any) -> None:
        for line in replay_lines.lines(turn, frames=frames, as_json=settings.as_json):
            click.echo(line)

    replay_frames(config, source, exported_people(config), pace=speed, watch=watch)


@click.command()
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
    rows = {**answer, "enrolment": under_way, "lockout": _lockout_text(answer["lockout"])}
    return "\n".join(f"{key:<12} {value}" for key, value in rows.items())


@click.command()
@click.option("--clear", is_flag=True, help="Forget the refusals and end a lock-out.")
@as_json
@click.pass_obj
def lockout(settings: Settings, clear: bool) -> None:
    """Show how many refusals are not forgotten yet, and for how long no attempts are allowed.

    After session.refusals_before_lockout refused attempts nobody is judged for a while; one attempt is forgotten every
    session.fade_seconds, all of them with a grant.
    """
    from facelatch.control.client import ControlClient

    answer = ControlClient(Path(settings.config().control.socket)).ask({"action": "lockout", "clear": clear})
    settings.show(answer, ("forgotten: " if clear else "") + _lockout_text(answer))


def _lockout_text(lockout: dict[str, Any]) -> str:
    refusals = f"{lockout['refusals']} refusal{'' if lockout['refusals'] == 1 else 's'} not forgotten"
    return refusals + (f", no attempts for {lockout['seconds']:.0f} s" if lockout["seconds"] else "")


@click.command()
@click.pass_obj
def relock(settings: Settings) -> None:
    """Drive the lock to its safe level and exit.

    systemd calls it after the daemon has ended, however it ended.
    """
    from facelatch.adapters.pins import factory, lock

    lock.relock(factory.remembered() or settings.config().gpio)
