"""`facelatch run`, `replay`, `status` and `relock`: the door itself."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facelatch.cli.output import echo
from facelatch.cli.settings import Settings, as_json
from facelatch.cli.site import site_text

if TYPE_CHECKING:
    from facelatch.config.file import Config
    from facelatch.decoder.files import LeftOut


@click.command()
@click.option("--dry-run", is_flag=True, help="Fake pins: everything but the wires.")
@click.option("--loop", "repeat", is_flag=True, help='With camera.source = "files": begin anew at the end.')
@click.pass_obj
def run(settings: Settings, dry_run: bool, repeat: bool) -> None:
    """Serve the door until stopped.

    The lock is locked on every way out. With --dry-run and camera.source = "files" in the configuration it
    runs on a desk, at the pace of the recording.
    """
    from facelatch.app.build import build_camera
    from facelatch.app.run import run as serve

    config = settings.config()
    if repeat and config.camera.source != "files":
        raise click.UsageError('--loop goes with camera.source = "files" only')
    camera = partial(build_camera, loop=repeat, skipped=_say_skipped)
    try_all = partial(_findings, config, settings.file())
    serve(config, origin=settings.origin(), dry_run=dry_run, camera=camera, try_all=try_all)


def _findings(config: Config, file: Path | None) -> list[dict[str, Any]]:
    from facelatch.diagnosis import check

    found = check.check(config, with_hardware=False, file=file, only=check.BESIDE_THE_DOOR)
    return [asdict(finding) for finding in found]


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
@click.option(
    "--identity",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the age key that opens the export file.",
)
@click.pass_obj
def replay(
    settings: Settings,
    source: Path,
    speed: float | None,
    frames: bool,
    people_file: Path | None,
    identity: Path | None,
) -> None:
    """Run the door on recorded pictures or a video.

    The real loop, finder, model and a copy of the gallery, with fake pins and a virtual clock.
    Nothing it does is kept. Prints what the journal would say; with --json one event a line.
    """
    from facelatch.app.replay import replay as replay_frames
    from facelatch.cli import replay_lines
    from facelatch.cli.asking import exported
    from facelatch.cli.exports import opened
    from facelatch.errors import NotAllowedError
    from facelatch.gallery.export import read_export

    config = settings.config()

    def watch(turn: Any) -> None:
        for line in replay_lines.lines(turn, frames=frames, as_json=settings.as_json):
            echo(line)

    run_on = partial(replay_frames, config, source, pace=speed, watch=watch, skipped=_say_skipped)
    if people_file is not None:
        with opened(people_file, identity) as stream:
            run_on(read_export(stream))
        return
    try:
        run_on(exported(config))
    except NotAllowedError as error:
        raise NotAllowedError(str(error), hint=f"{error.hint}; or name an export file: --people FILE") from error


def _say_skipped(file: LeftOut) -> None:
    echo(f"  skipped {file.path.name}: {file.reason}", err=True)


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
    ledger = {"ledger": _ledger_text(answer["ledger"])} if answer.get("ledger") else {}
    rows = {**answer, **ledger, "enrolment": under_way, "lockout": _lockout_text(answer["lockout"])}
    if "health" in answer:
        rows["health"] = _health_text(answer["health"])
    if answer.get("hours"):
        lost = ", ".join(answer["hours"]["readers_lost"])
        rows["hours"] = f"clock {answer['hours']['clock']}" + (f"; cannot be read: {lost}" if lost else "")
    if "site" in answer:  # not of a daemon before an upgrade
        rows["site"] = site_text(answer["site"])
    return "\n".join(f"{key:<12} {value}" for key, value in rows.items())


def _health_text(health: dict[str, Any]) -> str:
    """What is wrong first, then what was measured."""
    units = {"temperature_celsius": "{:.0f} degrees", "free_mb": "{} MB free", "swap_mb": "{} MB in swap"}
    measured = [text.format(health[key]) for key, text in units.items() if health.get(key) is not None]
    return ": ".join(filter(None, [", ".join(health["troubles"]) or "well", ", ".join(measured)]))


def _ledger_text(ledger: dict[str, Any]) -> str:
    """In a form that `facelatch ledger verify --anchor` reads."""
    text = f"seq {ledger['seq']} hash {ledger['hash']}" if "seq" in ledger else "not open yet"
    text += "" if ledger.get("written", True) else "; cannot be written, the journal says why"
    return text + ("" if ledger.get("key_noted", True) else "; note its start key: `sudo facelatch ledger init`")


@click.command()
@click.option("--clear", is_flag=True, help="Forget the refusals and end a lock-out.")
@as_json
@click.pass_obj
def lockout(settings: Settings, clear: bool) -> None:
    """Show or end a lock-out.

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
    """Lock, and exit.

    By the lock's keeper; where none answers, by driving the lock's pin to its safe level. systemd calls it after the
    daemon has ended, however it ended.
    """
    from facelatch.adapters.pins import factory, lock
    from facelatch.app import keeper

    lock.relock(factory.remembered() or settings.config().gpio, keeper.served_at() or lock.SOCKET)


@click.command("lock-arguments", hidden=True)
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def lock_arguments(settings: Settings, file: Path) -> None:
    """Write what the lock's keeper is to be told, for systemd.

    The keeper, facelatch-lock, reads no configuration. Its unit runs this first, and takes FILE as its environment;
    when the configuration cannot be read the file stays as it was, and the keeper holds the pin that it held before.
    """
    from facelatch.adapters.pins import lock

    config = settings.config()
    words = " ".join(lock.keeper_arguments(config.gpio, config.door.max_unlock_seconds))
    new = file.with_suffix(".new")
    new.write_text(f"FACELATCH_LOCK_ARGUMENTS={words}\n", encoding="ascii")
    new.replace(file)
