"""`facelatch-train cohort`: the people who do not exist, for a model that has none yet."""

from __future__ import annotations

from pathlib import Path

import click

from facelatch_training.cli.output import say


@click.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Prepared crops: made of their training people, measured on their validation split.",
)
@click.option("--seed", type=int, default=0, show_default=True)
def cohort(model: Path, data: Path, seed: int) -> None:
    """Make the cohort of MODEL (.tflite, calibrated), by which the door knows references that do not distinguish.

    Writes it beside the model and its hash into the manifest. To be made again with each model.
    """
    from facelatch_training.judge.cohort import write_cohort

    entry = write_cohort(model, data, seed=seed)
    say(f"{entry.people} people who do not exist; unfamiliar from a cosine of {entry.unfamiliar_from:.3f}")
    for name, value in entry.figures.items():
        say(f"{name:44} {value:8.2%}")
