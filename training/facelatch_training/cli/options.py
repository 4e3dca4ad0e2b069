"""Options that several commands share, and what is made of their values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from facelatch_training.judge.calibrate import Calibration
    from facelatch_training.recipe import Recipe, Targets


FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)
EXISTING_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
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

_RATE = click.FloatRange(0, 1, min_open=True, max_open=True)

TARGET_OPTIONS = (
    click.option("--target-fmr", "fmr", type=_RATE, help="False matches of one comparison."),
    click.option(
        "--target-far",
        "far_per_attempt",
        type=_RATE,
        help="False grants of a stranger's visit.",
    ),
    click.option("--enrolled", type=click.IntRange(1), help="People in the gallery."),
    click.option(
        "--references", type=click.IntRange(1, 64), multiple=True, help="Repeat to let it choose a number."
    ),
    click.option(
        "--frames", type=click.IntRange(1, 20), multiple=True, help="Repeat to let it choose a number."
    ),
    click.option(
        "--accept-unmet", is_flag=True, help="Write the safest thresholds although the targets are missed."
    ),
)
"""What is not given is taken from the recipe's [calibration]."""


def targets(recipe: Recipe, asked: Mapping[str, object]) -> Targets:
    """The recipe's targets with those that were asked for on the command line."""
    given = {name: value for name, value in asked.items() if value not in (None, ())}
    return type(recipe.calibration).model_validate({**recipe.calibration.model_dump(), **given})


def refuse_unmet(found: Calibration, model: Path, accept: bool) -> None:
    """Raises TrainingError when the targets are not met, unless they are accepted so."""
    from facelatch_training.files import TrainingError

    if found.unmet and not accept:
        click.echo(calibration_table(found), err=True)
        raise TrainingError(
            f"{model.name}: {'; '.join(found.unmet)}",
            hint="more people to calibrate on, more --references or --frames to choose from, a target that can be "
            "had, or --accept-unmet",
        )


def calibration_table(found: Calibration) -> str:
    """Thresholds, rates and what to set at the door, for people."""
    setting = found.setting
    lines = [
        f"detection threshold     {found.detection_threshold:.4f}",
        f"verification threshold  {setting.verification_threshold:.4f} of {setting.references} references, "
        f"{setting.frames} consecutive frames",
        "at the door             "
        f"enrolment.references = {setting.references}, session.required_matches = {setting.frames}",
        "targets                 " + ("met" if found.met else "NOT MET: " + "; ".join(found.unmet)),
        f"chosen on               {found.about['chosen_on']}",
    ]
    for name, rate in found.rates.items():
        lines.append(
            f"{name:<26}{100 * rate.value:>8.4f} %  ({100 * (rate.low or 0):.4f} to {100 * (rate.high or 0):.4f}; "
            f"{rate.identities} identities, {rate.comparisons} comparisons)"
        )
    return "\n".join(lines)
