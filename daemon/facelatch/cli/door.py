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
@click.option(
    "--people",
    "people_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Export file with who is enrolled. Without it the door's own people, for which you must be allowed to export.",
)
@click.pass_obj
def replay(
    settings: Settings, source: Path, speed: float | None, frames: bool, people_file: Path | None
) -> None:
    """Run the door on recorded frames: a folder of pictures or a video.

    The real loop, finder, model and a copy of the gallery, with fake pins and a virtual clock.
    Nothing it does is kept. Prints what the journal would say; with --json one event a line.
    """
    from facelatch.app.replay import replay as replay_frames
    from facelatch.cli import replay_lines
    from facelatch.cli.asking import exported
    from facelatch.errors import NotAllowedError
    from facelatch.gallery.export import read_export

    config = settings.config()

    def watch(turn: Any) -> None:
        for line in replay_lines.lines(turn, frames=frames, as_json=settings.as_json):
            click.echo(line)

    if people_file is not None:
        with people_file.open("rb") as stream:
            replay_frames(config, source, read_export(stream), pace=speed, watch=watch)
        return
    try:
        replay_frames(config, source, exported(config, audited=False), pace=speed, watch=watch)
    except NotAllowedError as error:
        raise NotAllowedError(str(error), hint=f"{error.hint}; or name an export file: --people FILE") from error


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
    rows = {**answer, "enrolment": under_way}
    return "\n".join(f"{key:<12} {value}" for key, value in rows.items())


@click.command()
@click.pass_obj
def relock(settings: Settings) -> None:
    """Drive the lock to its safe level and exit.

    systemd calls it after the daemon has ended, however it ended.
    """
    from facelatch.adapters.pins import factory, lock

    lock.relock(factory.remembered() or settings.config().gpio)
