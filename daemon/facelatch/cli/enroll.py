"""`facelatch enroll`: from pictures, or by the running daemon's camera."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facelatch.cli.asking import ask, judging
from facelatch.cli.settings import Settings, as_json
from facelatch.errors import InputError
from facelatch.gallery.names import clean_name

if TYPE_CHECKING:
    from facelatch.config.file import Config
    from facelatch.line.pipeline import Line
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
    from facelatch.line import stills
    from facelatch.values.records import NOBODY
    from facelatch.vision.images import image_files

    config = settings.config()
    paths = [source] if source.is_file() else image_files(source)
    line = build.build_line(config)
    with click.progressbar(paths, label="looking", file=sys.stderr) as shown:
        looked_at = [stills.observe_still(line, path, NOBODY) for path in shown]
    looked_at = stills.without_strangers(line, looked_at)
    for still in looked_at:
        if still.problem:
            click.echo(f"  skipped {still.path.name}: {still.problem}", err=True)
    kept = stills.spread(stills.usable(source, looked_at), config.enrolment.references)
    if not force:
        _refuse_double(config, line, name, kept)
    ask(config, *_request(name, kept, as_admin))
    result = {"name": name, "references": len(kept), "pictures": len(paths), "admin": as_admin}
    settings.show(result, f"{name} enrolled with {len(kept)} of {len(paths)} pictures")


def _refuse_double(config: Config, line: Line, name: str, kept: Sequence[Judged]) -> None:
    """Raises InputError when the door would let one of the pictures in already."""
    judge = judging(config, line)
    for one in kept:
        said = judge(one.crop)
        if said["matched"]:
            raise InputError(
                f"{name}: this face is already enrolled as {said['person']}",
                hint=f"`facelatch people remove {said['person']}` first, or --force for twins",
            )


def _request(name: str, kept: Sequence[Judged], as_admin: bool) -> tuple[dict[str, Any], bytes]:
    """The crops as they travel, one behind the other: the door that gets them embeds them itself."""
    from facelatch.vision.png import encode_png

    crops = [encode_png(one.crop) for one in kept]
    pictures = [{"size": len(crop), **asdict(one.pose)} for crop, one in zip(crops, kept, strict=True)]
    request = {"action": "enroll_pictures", "name": name, "admin": as_admin, "pictures": pictures}
    return request, b"".join(crops)


def _enroll_by_camera(settings: Settings, name: str, as_admin: bool) -> None:
    from facelatch.control.client import ControlClient

    client = ControlClient(Path(settings.config().control.socket))
    client.ask({"action": "enroll", "name": name, "admin": as_admin})
    click.echo("look at the camera and move your head a little ...", err=True)
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
            click.echo(f"  {kept} of {answer['wanted']} images kept", err=True)
        time.sleep(POLL_SECONDS)
