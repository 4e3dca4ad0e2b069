"""`facelatch-train fit`."""

from __future__ import annotations

from pathlib import Path

import click

from facelatch.errors import InputError
from facelatch_training.cli.options import ANY, EXISTING_FILE, EXISTING_FOLDER
from facelatch_training.cli.output import say


@click.command()
@click.argument("data", type=EXISTING_FOLDER)
@click.option("--run", "run_folder", type=ANY, required=True, help="Run folder; the same one resumes.")
@click.option(
    "--recipe", "recipe_file", type=EXISTING_FILE, help="[default: the shipped config/training.toml]"
)
@click.option("--teacher", type=EXISTING_FOLDER, help="Folder of the reference network, for distillation.")
@click.option("--answers", type=EXISTING_FOLDER, help="What `teach` packed, in the place of --teacher.")
@click.option("--cache", type=ANY, help="Where decoded crops are kept.  [default: cache in RUN]")
@click.option("--init", "initial", type=EXISTING_FILE, help="Fine-tune this siamese.keras on DATA.")
@click.option("--start-from", type=EXISTING_FILE, help="Begin the metric stage with this model's tower.")
@click.option("--finish-in", type=click.IntRange(min=1), help="Let the metric stage end after so many steps.")
def fit(
    data: Path,
    run_folder: Path,
    recipe_file: Path | None,
    teacher: Path | None,
    answers: Path | None,
    cache: Path | None,
    initial: Path | None,
    start_from: Path | None,
    finish_in: int | None,
) -> None:
    """Train on the crop set DATA; killed at any moment, the same command goes on where it was."""
    if initial is not None:
        of_metric_stage = {"--teacher": teacher, "--answers": answers, "--start-from": start_from}
        _refuse_with_init({**of_metric_stage, "--finish-in": finish_in})
    from facelatch_training.recipe import load_recipe, shipped_recipe

    _warn_of_few(data)
    recipe = load_recipe(recipe_file or shipped_recipe())
    from facelatch_training.fitting.distributed import worker_folder
    from facelatch_training.fitting.material import load_material
    from facelatch_training.fitting.workflow import train

    cache = cache or worker_folder(run_folder) / "cache"
    material = load_material(data, cache, stream=recipe.stream)
    outcome = train(
        material,
        run_folder,
        recipe,
        cache,
        teacher=teacher,
        initial=initial,
        start_from=start_from,
        finish_in=finish_in,
        answers=answers,
    )
    for title, figures in (("before", outcome.before), ("after", outcome.after)):
        if figures is not None:
            say(f"{title}: " + "  ".join(f"{name} {value:.4f}" for name, value in figures.items()))
    say(f"judged on {outcome.judged_on}")
    say(f"saved {outcome.model}")


def _warn_of_few(data: Path) -> None:
    """Says before the training when its figures will rest on too few people."""
    from facelatch_training.data.dataset import of_few, read_index

    index = read_index(data)
    if warning := of_few(len(index.labels(index.rows("validation"))[1])):
        say(f"warning: {warning}", err=True)


def _refuse_with_init(metric_options: dict[str, object]) -> None:
    """Raises InputError when an option is set that is about the metric stage, which fine-tuning has not."""
    names = [name for name, value in metric_options.items() if value is not None]
    if names:
        raise InputError(
            f"--init together with {', '.join(names)}: fine-tuning has no metric stage",
            hint=f"leave out --init, or {' and '.join(names)}",
        )
