"""The commands that say what a model is worth: evaluate, calibrate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facelatch.errors import InputError
from facelatch_training.cli.options import (
    ANY,
    FILE,
    FINDER_OPTIONS,
    FOLDER,
    TARGET_OPTIONS,
    calibration_table,
    refuse_unmet,
    targets,
)

if TYPE_CHECKING:
    from facelatch_training.judge.evaluate import Evaluation
    from facelatch_training.judge.protocols import Protocol


@click.command()
@click.argument("model", type=ANY)
@click.option("--data", type=FOLDER, help="Prepared crops: a folder with faces.csv and its shards.")
@click.option("--split", type=click.Choice(["validation", "train"]), default="validation", show_default=True)
@click.option("--pairs", type=FILE, help="Pairs file in the format of Labeled Faces in the Wild.")
@click.option("--images", type=FOLDER, help="The pictures the pairs file names.")
@click.option("--people", type=FOLDER, help="One folder per person: all comparisons.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    help="For precision, recall, FMR, FNMR.  [default: the manifest's; 0.5 for .keras, none for a peer]",
)
@click.option("--peer", type=FOLDER, help="Folder of the reference network, judged on the same crops.")
@click.option(
    "--skip-unreadable", is_flag=True, help="Count pictures that cannot be read as pictures without a face."
)
@click.option("--resamples", type=click.IntRange(1), default=500, show_default=True, help="Of the bootstrap.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the table.")
@click.option("--out", type=FOLDER, help="Write curves and the hardest pairs here (outside of git).")
def evaluate(
    model: Path,
    data: Path | None,
    split: str,
    pairs: Path | None,
    images: Path | None,
    people: Path | None,
    threshold: float | None,
    peer: Path | None,
    skip_unreadable: bool,
    resamples: int,
    as_json: bool,
    out: Path | None,
    kind: str,
    finder_model: Path | None,
    finder_score: float | None,
    aligned: bool,
) -> None:
    """Judge MODEL (.tflite through the daemon's own adapter, .keras, or a peer's folder) on unseen people.

    Give one of --data, --pairs with --images, or --people. In pictures with several faces the largest and
    most central one is meant. Pictures without a found face count as refused.
    """
    from facelatch_training.data.cropping import PORTRAIT_SCORE, Cropper, open_finder
    from facelatch_training.files import keep_out_of_git
    from facelatch_training.judge.evaluate import evaluate as judge
    from facelatch_training.judge.table import table
    from facelatch_training.judge.verifiers import default_threshold, open_verifier
    from facelatch_training.report.plots import write_hardest, write_plots

    if out is not None:
        keep_out_of_git(out)
    verifier = open_verifier(model)
    finder = None
    if not aligned and data is None:
        finder = open_finder(kind, finder_model, PORTRAIT_SCORE if finder_score is None else finder_score)
    cropper = Cropper(finder, skip_unreadable=skip_unreadable)
    protocol = _protocol(data, split, pairs, images, people, cropper)
    at, origin = (threshold, "given") if threshold is not None else default_threshold(model)
    judged: dict[str, Evaluation] = {}
    judged["model"] = judge(verifier, protocol, threshold=at, threshold_origin=origin, resamples=resamples)
    if peer is not None:
        judged["peer"] = judge(open_verifier(peer), protocol, resamples=resamples)
    if as_json:
        about = {
            "pictures_with_several_faces": len(cropper.several),
            "unreadable": sorted(map(str, cropper.unreadable)),
        }
        found = {name: evaluation.as_json() | about for name, evaluation in judged.items()}
        click.echo(json.dumps(found["model"] if peer is None else found, indent=2))
    else:
        for name, evaluation in judged.items():
            click.echo(f"== {name}\n{table(evaluation)}")
        for path in sorted(cropper.unreadable):
            click.echo(f"{path} cannot be read; it counts as a picture without a face")
        if cropper.several:
            click.echo(
                f"{len(cropper.several)} pictures show several faces; the most central and largest was taken"
            )
    if out is not None:
        written = [*write_plots(judged, out), write_hardest(judged["model"], protocol, out)]
        click.echo("wrote " + ", ".join(str(path) for path in written), err=True)


@click.command()
@click.argument("model", type=FILE)
@click.option(
    "--data", type=FOLDER, required=True, help="Prepared crops; only their validation split is used."
)
@click.option(
    "--recipe",
    "recipe_file",
    type=FILE,
    help="Its [calibration] is asked for.  [default: config/training.toml]",
)
@click.option("--dry-run", is_flag=True, help="Print, write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def calibrate(
    model: Path,
    data: Path,
    recipe_file: Path | None,
    dry_run: bool,
    as_json: bool,
    accept_unmet: bool,
    **asked: object,
) -> None:
    """Choose both thresholds of MODEL for the error rates asked for, and write them into its manifest.

    Chosen on one half of the validation people, reported on the other. Options that are not given are the
    recipe's.
    """
    from facelatch_training.judge.calibrate import calibrate_on, write
    from facelatch_training.recipe import load_recipe, shipped_recipe

    found = calibrate_on(model, data, targets(load_recipe(recipe_file or shipped_recipe()), asked))
    if not dry_run:
        refuse_unmet(found, model, accept_unmet)
    path = None if dry_run else write(found, model)
    click.echo(json.dumps(found.as_json(), indent=2) if as_json else calibration_table(found))
    if path is not None:
        click.echo(f"wrote {path}", err=True)


def _protocol(
    data: Path | None,
    split: str,
    pairs: Path | None,
    images: Path | None,
    people: Path | None,
    cropper: object,
) -> Protocol:
    from facelatch_training.data.cropping import Cropper
    from facelatch_training.judge import protocols

    assert isinstance(cropper, Cropper)
    if sum(source is not None for source in (data, pairs, people)) != 1 or (pairs is None) != (
        images is None
    ):
        raise InputError(
            "nothing, or too much, to judge on", hint="give --data, or --pairs with --images, or --people"
        )
    if data is not None:
        return protocols.prepared(data, split)
    if people is not None:
        return protocols.people(people, cropper)
    assert pairs is not None
    assert images is not None
    return protocols.lfw_pairs(pairs, images, cropper)


for _option in FINDER_OPTIONS:
    _option(evaluate)
for _option in TARGET_OPTIONS:
    _option(calibrate)
