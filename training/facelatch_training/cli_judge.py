"""The commands that say what a model is worth: evaluate, calibrate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facelatch.errors import InputError

if TYPE_CHECKING:
    from facelatch_training.calibrate import Calibration
    from facelatch_training.evaluate import Evaluation
    from facelatch_training.protocols import Protocol

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)
ANY = click.Path(path_type=Path)

FINDER_OPTIONS = (
    click.option(
        "--finder",
        "kind",
        type=click.Choice(["network", "yunet", "cascade"]),
        default="network",
        show_default=True,
        help="Who finds the face in raw pictures.",
    ),
    click.option("--finder-model", type=FILE, help="Model file of the finder (needed for yunet)."),
    click.option(
        "--finder-score",
        type=click.FloatRange(0, 1),
        help="Least score of a find.  [default: 0.1 for evaluate, 0.5 for prepare and all, 0.6 for collect]",
    ),
    click.option("--aligned", is_flag=True, help="The pictures are aligned 112x112 crops already."),
)


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
    help="For precision, recall, FMR, FNMR.  [default: the manifest's]",
)
@click.option("--peer", type=FOLDER, help="Folder of the reference network, judged on the same crops.")
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
    from facelatch_training.cropping import PORTRAIT_SCORE, Cropper, open_finder
    from facelatch_training.evaluate import evaluate as judge
    from facelatch_training.evaluate import table
    from facelatch_training.plots import keep_out_of_git, write_hardest, write_plots
    from facelatch_training.verifiers import detection_threshold, open_verifier

    if out is not None:
        keep_out_of_git(out)
    verifier = open_verifier(model)
    finder = None
    if not aligned and data is None:
        finder = open_finder(kind, finder_model, PORTRAIT_SCORE if finder_score is None else finder_score)
    cropper = Cropper(finder)
    protocol = _protocol(data, split, pairs, images, people, cropper)
    calibrated = detection_threshold(model)
    origin = "given" if threshold is not None else "the manifest's detection threshold"
    judged: dict[str, Evaluation] = {}
    judged["model"] = judge(
        verifier,
        protocol,
        threshold=calibrated if threshold is None else threshold,
        threshold_origin=origin,
        resamples=resamples,
        quiet=as_json,
    )
    if peer is not None:
        judged["peer"] = judge(open_verifier(peer), protocol, resamples=resamples, quiet=as_json)
    if as_json:
        found = {name: evaluation.as_json() for name, evaluation in judged.items()}
        click.echo(json.dumps(found["model"] if peer is None else found, indent=2))
    else:
        for name, evaluation in judged.items():
            click.echo(f"== {name}\n{table(evaluation)}")
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
    "--target-fmr", type=click.FloatRange(0, 1), default=1e-4, show_default=True, help="Of one comparison."
)
@click.option(
    "--target-far",
    type=click.FloatRange(0, 1),
    default=1e-3,
    show_default=True,
    help="Of a stranger's visit.",
)
@click.option(
    "--enrolled", type=click.IntRange(1), default=10, show_default=True, help="People in the gallery."
)
@click.option(
    "--references", type=click.IntRange(1, 64), multiple=True, help="Repeat to let it choose.  [default: 8]"
)
@click.option(
    "--frames", type=click.IntRange(1, 20), multiple=True, help="Repeat to let it choose.  [default: 3]"
)
@click.option(
    "--accept-unmet", is_flag=True, help="Write the safest thresholds although the target is missed."
)
@click.option("--dry-run", is_flag=True, help="Print, write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def calibrate(
    model: Path,
    data: Path,
    target_fmr: float,
    target_far: float,
    enrolled: int,
    references: tuple[int, ...],
    frames: tuple[int, ...],
    accept_unmet: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Choose both thresholds of MODEL for the error rates asked for, and write them into its manifest.

    Chosen on one half of the validation people, reported on the other.
    """
    from facelatch_training import calibrate as work
    from facelatch_training.runfolder import TrainingError

    default = work.Targets()
    targets = work.Targets(
        fmr=target_fmr,
        far_per_attempt=target_far,
        enrolled=enrolled,
        references=references or default.references,
        frames=frames or default.frames,
    )
    found = calibrate_on(model, data, targets)
    if not found.met and not dry_run and not accept_unmet:
        click.echo(_calibration_table(found), err=True)
        raise TrainingError(
            f"{model}: no setting tried keeps {target_far:g} false grants a visit with {enrolled} enrolled",
            hint="let it choose more --references and --frames, or write the safest with --accept-unmet",
        )
    path = None if dry_run else work.write(found, model)
    click.echo(json.dumps(found.as_json(), indent=2) if as_json else _calibration_table(found))
    if path is not None:
        click.echo(f"wrote {path}", err=True)


def calibrate_on(model: Path, data: Path, targets: object | None = None) -> Calibration:
    """Calibrates `model` on the validation split of a crop set."""
    from facelatch_training import calibrate as work
    from facelatch_training.protocols import gather, prepared
    from facelatch_training.verifiers import open_verifier

    protocol = prepared(data)
    wanted = targets if isinstance(targets, work.Targets) else None
    return work.calibrate(
        open_verifier(model), gather(protocol), protocol.identities, data=protocol.name, targets=wanted
    )


def _protocol(
    data: Path | None,
    split: str,
    pairs: Path | None,
    images: Path | None,
    people: Path | None,
    cropper: object,
) -> Protocol:
    from facelatch_training import protocols
    from facelatch_training.cropping import Cropper

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


def _calibration_table(found: Calibration) -> str:
    setting = found.setting
    lines = [
        f"detection threshold     {found.detection_threshold:.4f}",
        f"verification threshold  {setting.verification_threshold:.4f} of {setting.references} references, "
        f"{setting.frames} consecutive frames",
        "targets                 " + ("met" if found.met else "NOT MET: these are the safest settings tried"),
        f"chosen on               {found.about['chosen_on']}",
    ]
    for name, rate in found.rates.items():
        lines.append(
            f"{name:<18}{100 * rate.value:>8.4f} %  ({100 * (rate.low or 0):.4f} to {100 * (rate.high or 0):.4f}; "
            f"{rate.identities} identities, {rate.comparisons} comparisons)"
        )
    return "\n".join(lines)


for _option in reversed(FINDER_OPTIONS):
    _option(evaluate)
