"""`facelatch enroll`: from pictures, or by the running daemon's camera."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facelatch.cli.asking import ask
from facelatch.cli.output import echo, for_progress
from facelatch.cli.settings import Settings, as_json, person_name
from facelatch.errors import InputError
from facelatch.gallery.names import clean_name

if TYPE_CHECKING:
    from facelatch.config.file import Config
    from facelatch.line.stills import Still
    from facelatch.values.observations import Judged

POLL_SECONDS = 0.3
"""Far shorter than the daemon waits for a client before it takes it for gone."""

SPARE = 2
"""Pictures sent for each reference that is kept: some may be left out."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Whose pictures they are to be."""

    name: str
    admin: bool
    add: bool
    replace: bool
    consent: str | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """Of the request."""
        fields = asdict(self)
        if self.consent is None:
            del fields["consent"]  # a daemon from before does not know it
        return fields

    @property
    def done(self) -> str:
        """What has become of the person."""
        return "has more pictures" if self.add else "has new pictures" if self.replace else "enrolled"


@click.command()
@click.argument("name", required=False, type=person_name)
@click.option("--images", type=click.Path(path_type=Path), help="A folder of pictures, or one picture.")
@click.option("--camera", is_flag=True, help="Look into the running daemon's camera instead.")
@click.option("--add", is_flag=True, help="More pictures of somebody enrolled: glasses, another season.")
@click.option("--replace", is_flag=True, help="Other pictures in place of all that somebody has.")
@click.option("--admin", "as_admin", is_flag=True, help="This face may authorise enrolments.")
@click.option(
    "--force",
    is_flag=True,
    help="Even if the face is enrolled under another name (twins: a tie opens for neither), or replaced by another.",
)
@click.option(
    "--consent",
    type=click.Choice(["paper", "spoken", "screen"]),
    help="How the person agreed; needed where enrolment.consent is recorded.",
)
@click.option("--abort", is_flag=True, help="End the enrolment that the daemon is at, whoever began it.")
@as_json
@click.pass_obj
def enroll(
    settings: Settings,
    name: str | None,
    images: Path | None,
    camera: bool,
    add: bool,
    replace: bool,
    as_admin: bool,
    force: bool,
    consent: str | None,
    abort: bool,
) -> None:
    """Enrol NAME from pictures or from the camera.

    Pictures that show nobody, two people, somebody else or a bad view are left out and named; where half of them are
    unlike the others, all are refused. An enrolment by the camera ends with this command: Ctrl-C aborts it.
    """
    if abort:
        if name is not None or images is not None or camera:
            raise click.UsageError("--abort goes alone")
        _abort(settings)
        return
    if name is None or camera == (images is not None):
        raise click.UsageError("give NAME, and either --images DIR or --camera")
    if camera and force:
        raise click.UsageError("--force goes with --images only")
    if add and replace:
        raise click.UsageError("give either --add or --replace")
    if as_admin and (add or replace):
        raise click.UsageError("--admin is for somebody new: `facelatch people admin NAME`")
    wanted = _Wanted(clean_name(name), as_admin, add, replace, consent)
    if images is None:
        _enroll_by_camera(settings, wanted)
    else:
        _enroll_by_images(settings, wanted, images, force)


def _enroll_by_images(settings: Settings, wanted: _Wanted, source: Path, force: bool) -> None:
    from facelatch.decoder.files import Folder, picture_files
    from facelatch.gallery.export import MAX_REFERENCES
    from facelatch.line import stills

    config = settings.config()
    folder = Folder((source,), ()) if source.is_file() else picture_files(source)
    looked_at = _look(config, folder.pictures)
    looked_at += [stills.Still(one.path, None, one.reason) for one in folder.left_out]
    for still in looked_at:
        if still.problem:
            echo(f"  skipped {still.path.name}: {still.problem}", err=True)
    usable = stills.usable(source, looked_at)
    sent = stills.spread(usable, min(SPARE * config.enrolment.references, MAX_REFERENCES))
    names = [still.path.name for judged in sent for still in looked_at if still.observation is judged]
    pictures, bulk = _pictures(sent)
    request = {"action": "enroll_pictures", **wanted.fields, "force": force, "pictures": pictures}
    try:
        answer = ask(config, request, bulk)
    except InputError:
        for number, file in enumerate(names, start=1):
            echo(f"  picture {number}: {file}", err=True)
        raise
    for one in answer["left_out"]:
        echo(f"  left out {names[one['picture'] - 1]}: {one['reason']}", err=True)
    for warning in answer["warnings"]:
        echo(f"  warning: {warning}", err=True)
    kept = answer["references"]
    result = {**answer, "pictures": len(looked_at), "admin": wanted.admin}
    text = f"{answer['name']} {wanted.done}: {_of(kept, 'image')} kept, {_of(len(looked_at), 'picture')} looked at"
    settings.show(result, text + _enough(len(usable) - len(answer["left_out"]), kept))
    if kept == 1 and not wanted.add:
        echo("warning: one picture shows one view in one light; about eight in several are better", err=True)


def _of(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _enough(good: int, kept: int) -> str:
    """Why good pictures were not used: nobody has to look for what is wrong with them."""
    return f": the {kept} that differ most in pose are enough of {good} good ones" if good > kept else ""


def _look(config: Config, paths: Sequence[Path]) -> list[Still]:
    """What the line says of each picture, beside nobody: the door that gets them compares them."""
    from facelatch.app import build
    from facelatch.decoder.reader import PictureReader
    from facelatch.line import stills

    line, reader = build.build_line(config), PictureReader()
    with click.progressbar(paths, label="looking", file=for_progress()) as shown:
        return [stills.observe_still(line, reader, path, stills.NOBODY) for path in shown]


def _pictures(sent: Sequence[Judged]) -> tuple[list[dict[str, Any]], bytes]:
    """The crops as they travel, one behind the other: the door that gets them embeds them itself."""
    from facelatch.vision.png import encode_png

    crops = [encode_png(one.crop) for one in sent]
    pictures = [{"size": len(crop), **asdict(one.pose)} for crop, one in zip(crops, sent, strict=True)]
    return pictures, b"".join(crops)


def _enroll_by_camera(settings: Settings, wanted: _Wanted) -> None:
    from facelatch.control.client import ControlClient

    client = ControlClient(Path(settings.config().control.socket))
    lease = client.ask({"action": "enroll", **wanted.fields})["lease"]
    echo("look at the camera and move your head a little ...", err=True)
    kept = 0
    try:
        while True:
            answer = client.ask({"action": "status", "lease": lease})["enrolment"]
            if answer["state"] == "done":
                settings.show(answer, f"{answer['person']} {wanted.done}")
                return
            if answer["state"] in ("failed", "idle"):
                reason = answer["reason"] or "aborted"
                raise InputError(f"{wanted.name} not enrolled: {reason}", hint=answer["hint"])
            if answer["kept"] != kept:
                kept = answer["kept"]
                echo(f"  {kept} of {answer['wanted']} images kept", err=True)
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        client.ask({"action": "abort", "lease": lease})
        echo(f"{wanted.name} not enrolled: aborted", err=True)
        raise


def _abort(settings: Settings) -> None:
    from facelatch.control.client import ControlClient

    client = ControlClient(Path(settings.config().control.socket))
    state = client.ask({"action": "status"})["enrolment"]["state"]
    client.ask({"action": "abort"})
    under_way = state not in ("idle", "done", "failed", "saving")
    settings.show(
        {"aborted": under_way}, "enrolment aborted" if under_way else f"no enrolment to abort: {state}"
    )
