"""`facelatch enroll`: from pictures, or by the running daemon's camera."""

from __future__ import annotations

import base64
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facelatch.cli.asking import ask, everybody
from facelatch.cli.output import echo
from facelatch.cli.settings import Settings, as_json
from facelatch.errors import InputError
from facelatch.gallery.names import clean_name

if TYPE_CHECKING:
    from facelatch.line.stills import Still
    from facelatch.values.observations import Judged

POLL_SECONDS = 0.3


@click.command()
@click.argument("name")
@click.option("--images", type=click.Path(path_type=Path), help="A folder of pictures, or one picture.")
@click.option("--camera", is_flag=True, help="Look into the running daemon's camera instead.")
@click.option("--admin", "as_admin", is_flag=True, help="This face may authorise enrolments.")
@click.option("--force", is_flag=True, help="Even if the face is already enrolled under another name.")
@as_json
@click.pass_obj
def enroll(
    settings: Settings, name: str, images: Path | None, camera: bool, as_admin: bool, force: bool
) -> None:
    """Enrol NAME from pictures or from the camera.

    Pictures that show nobody, two people, somebody else or a bad view are skipped and named.
    """
    if camera == (images is not None):
        raise click.UsageError("give either --images DIR or --camera")
    if camera and force:
        raise click.UsageError("--force goes with --images only")
    name = clean_name(name)
    if images is None:
        _enroll_by_camera(settings, name, as_admin)
    else:
        _enroll_by_images(settings, name, images, as_admin, force)


def _enroll_by_images(settings: Settings, name: str, source: Path, as_admin: bool, force: bool) -> None:
    from facelatch.app import build
    from facelatch.decoder.files import Folder, picture_files
    from facelatch.decoder.reader import PictureReader
    from facelatch.line import stills

    config = settings.config()
    folder = Folder((source,), ()) if source.is_file() else picture_files(source)
    line = build.build_line(config)
    gallery = everybody(config, line.verifier)
    reader = PictureReader()
    with click.progressbar(folder.pictures, label="looking", file=sys.stderr) as shown:
        looked_at = [stills.observe_still(line, reader, path, gallery) for path in shown]
    looked_at = stills.without_strangers(line, looked_at)
    looked_at += [stills.Still(one.path, None, one.reason) for one in folder.left_out]
    for still in looked_at:
        if still.problem:
            echo(f"  skipped {still.path.name}: {still.problem}", err=True)
    kept = stills.spread(stills.usable(source, looked_at), config.enrolment.references)
    double = stills.already_enrolled(kept)
    if double is not None and not force:
        raise InputError(
            f"{name}: this face is already enrolled as {double.name}",
            hint=f"`facelatch people remove {double.name}` first, or --force for twins",
        )
    ask(config, _request(name, kept, as_admin))
    result = {"name": name, "references": len(kept), "pictures": len(looked_at), "admin": as_admin}
    settings.show(result, f"{name} enrolled with {len(kept)} of {len(looked_at)} pictures{_enough(looked_at, kept)}")
    if len(kept) == 1:
        echo("warning: one picture shows one view in one light; about eight in several are better", err=True)


def _enough(looked_at: Sequence[Still], kept: Sequence[Judged]) -> str:
    """Why good pictures were not used: nobody has to look for what is wrong with them."""
    good = sum(not still.problem for still in looked_at)
    return f": the {len(kept)} that differ most in pose are enough of {good} good ones" if good > len(kept) else ""


def _request(name: str, kept: Sequence[Judged], as_admin: bool) -> dict[str, Any]:
    """The crops as they travel: the door that gets them embeds them itself."""
    from facelatch.vision.png import encode_png

    pictures = [
        {"crop": base64.b64encode(encode_png(one.crop)).decode("ascii"), **asdict(one.pose)} for one in kept
    ]
    return {"action": "enroll_pictures", "name": name, "admin": as_admin, "pictures": pictures}


def _enroll_by_camera(settings: Settings, name: str, as_admin: bool) -> None:
    from facelatch.control.client import ControlClient

    client = ControlClient(Path(settings.config().control.socket))
    client.ask({"action": "enroll", "name": name, "admin": as_admin})
    echo("look at the camera and move your head a little ...", err=True)
    kept = 0
    while True:
        answer = client.ask({"action": "status"})["enrolment"]
        if answer["state"] == "done":
            settings.show(answer, f"{answer['person']} enrolled")
            return
        if answer["state"] in ("failed", "idle"):
            raise InputError(f"{name} not enrolled: {answer['reason'] or 'aborted'}", hint=answer["hint"])
        if answer["kept"] != kept:
            kept = answer["kept"]
            echo(f"  {kept} of {answer['wanted']} images kept", err=True)
        time.sleep(POLL_SECONDS)
