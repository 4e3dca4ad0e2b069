"""The commands that make training data: collect and prepare."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facelatch.cli.output import echo
from facelatch.errors import InputError
from facelatch_training.cli.options import (
    ANY,
    FOLDER,
    FinderChoice,
    camera_finder_options,
    finder_options,
    prepare_options,
)
from facelatch_training.cli.output import say

if TYPE_CHECKING:
    from facelatch_training.data.prepare import Options, Report

_CAMERA_SCORE = 0.6
"""Least score of a find at a live camera, which shows the same face again in the next frame."""


@click.command()
@click.argument("sources", nargs=-1, required=True, type=FOLDER)
@click.option("--out", type=ANY, required=True, help="New folder for faces.csv and the shards.")
@prepare_options
@finder_options
def prepare(sources: tuple[Path, ...], out: Path, options: Options, finder: FinderChoice) -> None:
    """Turn SOURCES into one crop set: folders with one folder per person, or other crop sets.

    Faces are found and aligned as at the door, the same picture is kept once, and people are split for
    training and validation by family, never by picture. Crops that `collect` made are taken as they are. What
    was thrown away is shown in OUT-thrown-away.png.
    """
    from facelatch_training.data.cropping import PREPARE_SCORE
    from facelatch_training.data.prepare import prepare as prepare_crops

    report = prepare_crops(sources, out, finder=finder.open_for(sources, PREPARE_SCORE), options=options)
    for line in _report_lines(report, out):
        echo(line)


def _report_lines(report: Report, out: Path) -> Iterator[str]:
    from facelatch_training.data.dataset import of_few

    yield f"{report.kept} crops of {report.identities} people in {out}"
    for split, people in sorted(report.splits.items()):
        yield f"  {split}: {people} people"
    for reason, names in sorted(report.thrown.items()):
        yield f"  thrown away: {len(names)}, {reason}"
    if report.sheet is not None:
        rest = f" ({report.not_shown} more have no room there)" if report.not_shown else ""
        yield f"  see {report.sheet}{rest}"
    if warning := of_few(report.splits.get("validation", 0)):
        yield f"  warning: {warning}"
    if report.shared:
        yield f"  {len(report.shared)} pictures stand under two names; look at them:"
        for left, right, correlation in report.shared[:10]:
            yield f"    {left} = {right} ({correlation:.3f})"
    yield f"fingerprint {report.fingerprint}"


@click.command()
@click.argument("name")
@click.option("--out", type=ANY, required=True, help="Folder of people; NAME becomes a folder in it.")
@click.option(
    "--source",
    type=click.Choice(["picamera2", "v4l2", "files"]),
    default="v4l2",
    show_default=True,
    help="Camera module, USB camera, or a folder or video of pictures.",
)
@click.option("--device", default="0", show_default=True, help="Number, /dev/video..., folder or file.")
@click.option(
    "--timeout",
    "timeout_seconds",
    type=click.FloatRange(1),
    default=180.0,
    show_default=True,
    help="Seconds of frames after which a round ends.",
)
@click.option(
    "--ask/--no-ask", default=True, help="Ask for glasses and light between rounds (not for files)."
)
@click.option(
    "--round",
    "only",
    type=click.IntRange(1, 3),
    help="One round only: 1 as you are, 2 with the glasses changed, 3 in other light.  [default for files: 1]",
)
@camera_finder_options
def collect(
    name: str,
    out: Path,
    source: str,
    device: str,
    timeout_seconds: float,
    ask: bool,
    only: int | None,
    finder: FinderChoice,
) -> None:
    """Collect crops of the person NAME: follow what is asked for until nothing is missing.

    OUT/NAME/anchors gets straight looks, OUT/NAME/positives everything else, both only what the door itself
    would accept. OUT/NAME-preview.png shows what the camera sees. What is there from an
    earlier time counts, and only the rest is asked for.
    """
    from facelatch.gallery.names import clean_name
    from facelatch_training.data import collect

    folder = out / clean_name(name)
    camera_finder = finder.open(_CAMERA_SCORE)
    first = (only or 1) - 1
    all_rounds = ask and source != "files" and only is None
    rounds = collect.ROUNDS[first:] if all_rounds else collect.ROUNDS[first : first + 1]
    for number, round_name in enumerate(rounds):
        if number and not click.confirm(f"Next: {round_name}. Ready? (n leaves it out)", default=True):
            continue
        # Opened anew: a camera that waited would begin with a picture of before.
        with collect.open_camera(source, device) as camera:
            done = collect.collect_round(
                camera,
                camera_finder,
                folder,
                round_name=round_name,
                timeout_seconds=timeout_seconds,
                min_interval_seconds=0.0 if source == "files" else collect.MIN_INTERVAL_SECONDS,
                say=lambda line: click.echo(f"\r{line:<78}", nl=False),
            )
        short = f"; missing: {done.missing}" if done.missing else ""
        say(f"\n{round_name}: kept {done.kept} crops{short}")
    _say_what_is_missing(folder, source, device)


def _say_what_is_missing(folder: Path, source: str, device: str) -> None:
    """Raises InputError when not one picture was kept."""
    from facelatch_training.data.collect import ROUNDS, still_missing

    missing = still_missing(folder)
    if len(missing) == len(ROUNDS):
        raise InputError(
            f"{device}: no picture that the door would judge",
            hint="the advice above says why; see the preview",
        )
    for what in missing:
        say(f"missing: {what}" + (" (another folder: --round 2 or 3)" if source == "files" else ""))
