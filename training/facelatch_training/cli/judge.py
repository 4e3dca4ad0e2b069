"""The commands that say what a model is worth: evaluate, calibrate."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facelatch.errors import InputError
from facelatch_training.cli.options import (
    ANY,
    FILE,
    FOLDER,
    FinderChoice,
    TargetChoice,
    finder_options,
    grouped,
    target_options,
)
from facelatch_training.cli.output import say

if TYPE_CHECKING:
    from facelatch_training.data.cropping import Cropper
    from facelatch_training.judge.calibrate import Calibration
    from facelatch_training.judge.evaluate import Evaluation
    from facelatch_training.judge.protocols import Protocol


@dataclass(frozen=True)
class DataChoice:
    """Which pictures a model is judged on: one of three."""

    data: Path | None
    split: str
    pairs: Path | None
    images: Path | None
    people: Path | None

    def protocol(self, cropper: Cropper) -> Protocol:
        """The comparisons to make. Raises InputError when no pictures were chosen, or several kinds."""
        from facelatch_training.judge import protocols

        chosen = sum(source is not None for source in (self.data, self.pairs, self.people))
        if chosen != 1 or (self.pairs is None) != (self.images is None):
            raise InputError(
                "nothing, or too much, to judge on", hint="give --data, or --pairs with --images, or --people"
            )
        if self.pairs is not None and self.images is not None:
            return protocols.lfw_pairs(self.pairs, self.images, cropper)
        if self.people is not None:
            return protocols.people(self.people, cropper)
        assert self.data is not None
        return protocols.prepared(self.data, self.split)


_data_options = grouped(
    "data_choice",
    DataChoice,
    (
        click.option("--data", type=FOLDER, help="Prepared crops: a folder with faces.csv and its shards."),
        click.option(
            "--split", type=click.Choice(["validation", "train"]), default="validation", show_default=True
        ),
        click.option("--pairs", type=FILE, help="Pairs file in the format of Labeled Faces in the Wild."),
        click.option("--images", type=FOLDER, help="The pictures the pairs file names."),
        click.option("--people", type=FOLDER, help="One folder per person: all comparisons."),
    ),
)


@click.command()
@click.argument("model", type=ANY)
@_data_options
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
@click.option("--det", type=FILE, help="Draw the DET curve here, .svg or .png: it shows no faces.")
@finder_options
def evaluate(
    model: Path,
    data_choice: DataChoice,
    threshold: float | None,
    peer: Path | None,
    skip_unreadable: bool,
    resamples: int,
    as_json: bool,
    out: Path | None,
    det: Path | None,
    finder: FinderChoice,
) -> None:
    """Judge MODEL (.tflite through the daemon's own adapter, .keras, or a peer's folder) on unseen people.

    Give one of --data, --pairs with --images, or --people. In pictures with several faces the largest and
    most central one is meant. Pictures without a found face count as refused.
    """
    from facelatch_training.data.cropping import PORTRAIT_SCORE, Cropper
    from facelatch_training.files import keep_out_of_git
    from facelatch_training.judge.evaluate import evaluate as judge
    from facelatch_training.judge.verifiers import default_threshold, open_verifier

    if out is not None:
        keep_out_of_git(out)
    verifier = open_verifier(model)
    needed = not finder.aligned and data_choice.data is None
    cropper = Cropper(finder.open(PORTRAIT_SCORE) if needed else None, skip_unreadable=skip_unreadable)
    protocol = data_choice.protocol(cropper)
    at, origin = (threshold, "given") if threshold is not None else default_threshold(model)
    judged: dict[str, Evaluation] = {}
    judged["model"] = judge(verifier, protocol, threshold=at, threshold_origin=origin, resamples=resamples)
    if peer is not None:
        judged["peer"] = judge(open_verifier(peer), protocol, resamples=resamples)
    say(_as_json(judged, cropper) if as_json else _as_text(judged, cropper))
    if out is not None:
        _write_pictures(judged, protocol, out)
    if det is not None:
        from facelatch_training.report.plots import write_det

        say(f"wrote {write_det(judged, det)}", err=True)


def _as_json(judged: dict[str, Evaluation], cropper: Cropper) -> str:
    """One document: of the model alone, or of model and peer by name."""
    about = {
        "pictures_with_several_faces": len(cropper.several),
        "unreadable": sorted(map(str, cropper.unreadable)),
    }
    documents: dict[str, Any] = {name: evaluation.as_json() | about for name, evaluation in judged.items()}
    return json.dumps(documents if "peer" in documents else documents["model"], indent=2)


def _as_text(judged: dict[str, Evaluation], cropper: Cropper) -> str:
    from facelatch_training.judge.table import evaluation_table

    lines = [f"== {name}\n{evaluation_table(evaluation)}" for name, evaluation in judged.items()]
    for path in sorted(cropper.unreadable):
        lines.append(f"{path} cannot be read; it counts as a picture without a face")
    if cropper.several:
        lines.append(
            f"{len(cropper.several)} pictures show several faces; the most central and largest was taken"
        )
    return "\n".join(lines)


def _write_pictures(judged: dict[str, Evaluation], protocol: Protocol, out: Path) -> None:
    from facelatch_training.report.plots import write_hardest, write_plots

    written = [*write_plots(judged, out), write_hardest(judged["model"], protocol, out)]
    say("wrote " + ", ".join(str(path) for path in written), err=True)


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
@target_options
def calibrate(
    model: Path,
    data: Path,
    recipe_file: Path | None,
    dry_run: bool,
    as_json: bool,
    target_choice: TargetChoice,
) -> None:
    """Choose both thresholds of MODEL for the error rates asked for, and write them into its manifest.

    Chosen on one half of the validation people, reported on the other. Options that are not given are the
    recipe's.
    """
    from facelatch_training.judge.calibrate import calibrate_on, write
    from facelatch_training.judge.table import calibration_table
    from facelatch_training.recipe import load_recipe, shipped_recipe

    recipe = load_recipe(recipe_file or shipped_recipe())
    calibration = calibrate_on(model, data, target_choice.targets(recipe))
    if not dry_run:
        refuse_unmet(calibration, model, target_choice.accept_unmet)
    path = None if dry_run else write(calibration, model)
    say(json.dumps(calibration.as_json(), indent=2) if as_json else calibration_table(calibration))
    if path is not None:
        say(f"wrote {path}", err=True)


def refuse_unmet(calibration: Calibration, model: Path, accept: bool) -> None:
    """Raises TrainingError when the targets are not met, unless they are accepted so."""
    from facelatch_training.files import TrainingError
    from facelatch_training.judge.table import calibration_table

    if calibration.unmet and not accept:
        say(calibration_table(calibration), err=True)
        raise TrainingError(
            f"{model.name}: {'; '.join(calibration.unmet)}",
            hint="more people to calibrate on, more --references or --frames to choose from, a target that can be "
            "had, or --accept-unmet",
        )
