"""The commands that make training data: collect and prepare."""

from __future__ import annotations

from pathlib import Path

import click

from facelatch.errors import InputError
from facelatch_training.cli.options import ANY, FILE, FINDER_OPTIONS, FOLDER

PREPARE_OPTIONS = (
    click.option(
        "--validation", type=click.FloatRange(0, 1), default=0.1, show_default=True, help="Share of families."
    ),
    click.option("--seed", type=int, default=0, show_default=True, help="Of the split."),
    click.option("--families", type=FILE, help="A csv with the columns identity and family."),
    click.option("--keep-singles", is_flag=True, help="Keep people with one picture, as strangers."),
    click.option("--skip-unreadable", is_flag=True, help="Leave damaged pictures out instead of stopping."),
)


@click.command()
@click.argument("sources", nargs=-1, required=True, type=FOLDER)
@click.option("--out", type=ANY, required=True, help="New folder for faces.csv and the shards.")
def prepare(
    sources: tuple[Path, ...],
    out: Path,
    validation: float,
    seed: int,
    families: Path | None,
    keep_singles: bool,
    skip_unreadable: bool,
    kind: str,
    finder_model: Path | None,
    finder_score: float | None,
    aligned: bool,
) -> None:
    """Turn SOURCES into one crop set: folders with one folder per person, or other crop sets.

    Faces are found and aligned as at the door, the same picture is kept once, and people are split for
    training and validation by family, never by picture. Crops that `collect` made are taken as they are. What
    was thrown away is shown in OUT-thrown-away.png.
    """
    from facelatch_training.data.cropping import PREPARE_SCORE, open_finder
    from facelatch_training.data.prepare import Options
    from facelatch_training.data.prepare import prepare as work

    raw = not aligned and any(not (source / "faces.csv").is_file() for source in sources)
    score = PREPARE_SCORE if finder_score is None else finder_score
    report = work(
        sources,
        out,
        finder=open_finder(kind, finder_model, score) if raw else None,
        options=Options(validation, seed, keep_singles, skip_unreadable, families),
    )
    click.echo(f"{report.kept} crops of {report.identities} people in {out}")
    for split, people in sorted(report.splits.items()):
        click.echo(f"  {split}: {people} people")
    for reason, names in sorted(report.thrown.items()):
        click.echo(f"  thrown away: {len(names)}, {reason}")
    if report.sheet is not None:
        rest = f" ({report.not_shown} more have no room there)" if report.not_shown else ""
        click.echo(f"  see {report.sheet}{rest}")
    if report.shared:
        click.echo(f"  {len(report.shared)} pictures stand under two names; look at them:")
        for left, right, alike in report.shared[:10]:
            click.echo(f"    {left} = {right} ({alike:.3f})")
    click.echo(f"fingerprint {report.fingerprint}")


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
def collect(
    name: str,
    out: Path,
    source: str,
    device: str,
    timeout_seconds: float,
    ask: bool,
    only: int | None,
    kind: str,
    finder_model: Path | None,
    finder_score: float | None,
) -> None:
    """Collect crops of the person NAME: follow what is asked for until nothing is missing.

    OUT/NAME/anchors gets straight looks, OUT/NAME/positives everything else, both only what the door itself
    would accept. OUT/NAME-preview.png shows what the camera sees. What is there from an
    earlier time counts, and only the rest is asked for.
    """
    from facelatch.gallery.names import clean_name
    from facelatch_training.data import collect as work
    from facelatch_training.data.cropping import open_finder

    folder = out / clean_name(name)
    finder = open_finder(kind, finder_model, 0.6 if finder_score is None else finder_score)
    first = (only or 1) - 1
    rounds = work.ROUNDS[first:] if ask and source != "files" and only is None else work.ROUNDS[first : first + 1]
    for number, round_name in enumerate(rounds):
        if number and not click.confirm(f"Next: {round_name}. Ready? (n leaves it out)", default=True):
            continue
        # Opened anew: a camera that waited would begin with a picture of before.
        with work.open_camera(source, device) as camera:
            done = work.collect_round(
                camera,
                finder,
                folder,
                round_name=round_name,
                timeout_seconds=timeout_seconds,
                min_interval_seconds=0.0 if source == "files" else work.MIN_INTERVAL_SECONDS,
                say=lambda line: click.echo(f"\r{line:<78}", nl=False),
            )
        click.echo(
            f"\n{round_name}: kept {done.kept} crops" + (f"; missing: {done.missing}" if done.missing else "")
        )
    missing = work.still_missing(folder)
    if len(missing) == len(work.ROUNDS):
        raise InputError(
            f"{device}: no picture that the door would judge", hint="the advice above says why; see the preview"
        )
    for what in missing:
        click.echo(f"missing: {what}" + (" (another folder: --round 2 or 3)" if source == "files" else ""))


for _option in PREPARE_OPTIONS:
    _option(prepare)
for _option in FINDER_OPTIONS:
    _option(prepare)
for _option in FINDER_OPTIONS[:-1]:  # --aligned makes no sense for a camera
    _option(collect)
