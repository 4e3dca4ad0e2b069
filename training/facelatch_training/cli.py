"""`facelatch-train`: the commands of the training package, each a thin shell around one module."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import click

from facelatch.errors import FacelatchError, InputError
from facelatch_training.cli_data import collect, prepare
from facelatch_training.cli_finder import finder
from facelatch_training.cli_judge import (
    EXISTING_FILE,
    TARGET_OPTIONS,
    calibrate,
    calibration_table,
    evaluate,
    refuse_unmet,
    targets,
)
from facelatch_training.cli_report import all_, report

EXISTING_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
ANY_PATH = click.Path(path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def commands() -> None:
    """Train, judge and export the Siamese network behind the door."""
    # TensorFlow greets every command with a page about its build; errors still show.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # oneDNN trains this tower 1.5 times as fast on a processor for which TensorFlow does not switch it on.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


@commands.command()
@click.argument("data", type=EXISTING_FOLDER)
@click.option("--run", "run_folder", type=ANY_PATH, required=True, help="Run folder; the same one resumes.")
@click.option(
    "--recipe", "recipe_file", type=EXISTING_FILE, help="[default: the shipped config/training.toml]"
)
@click.option("--teacher", type=EXISTING_FOLDER, help="Folder of the reference network, for distillation.")
@click.option("--cache", type=ANY_PATH, help="Where decoded crops are kept.  [default: cache in RUN]")
@click.option("--init", "initial", type=EXISTING_FILE, help="Fine-tune this siamese.keras on DATA.")
@click.option("--start-from", type=EXISTING_FILE, help="Begin the metric stage with this model's tower.")
@click.option("--finish-in", type=click.IntRange(min=1), help="Let the metric stage end after so many steps.")
def fit(
    data: Path,
    run_folder: Path,
    recipe_file: Path | None,
    teacher: Path | None,
    cache: Path | None,
    initial: Path | None,
    start_from: Path | None,
    finish_in: int | None,
) -> None:
    """Train on the crop set DATA; killed at any moment, the same command goes on where it was."""
    others = {"--teacher": teacher, "--start-from": start_from, "--finish-in": finish_in}
    given = [name for name, value in others.items() if value is not None]
    if initial is not None and given:
        raise InputError(
            f"--init together with {', '.join(given)}: fine-tuning has no metric stage",
            hint=f"leave out --init, or {' and '.join(given)}",
        )
    from facelatch_training.fitting.distributed import worker_folder
    from facelatch_training.fitting.material import load_material
    from facelatch_training.fitting.workflow import train
    from facelatch_training.recipe import load_recipe, shipped_recipe

    recipe = load_recipe(recipe_file or shipped_recipe())
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
    )
    for title, figures in (("before", outcome.before), ("after", outcome.after)):
        if figures is not None:
            click.echo(f"{title}: " + "  ".join(f"{name} {value:.4f}" for name, value in figures.items()))
    click.echo(f"judged on {outcome.judged_on}")
    click.echo(f"saved {outcome.model}")


@commands.command()
@click.argument("model", type=EXISTING_FILE)
@click.argument("data", type=EXISTING_FOLDER)
@click.option("--to", "target", type=ANY_PATH, help="The .tflite file to make.  [default: beside MODEL]")
@click.option("--recipe", "recipe_file", type=EXISTING_FILE, help="[default: the recipe of MODEL's run]")
@click.option("--cache", type=ANY_PATH, help="Where decoded crops are kept.  [default: cache beside MODEL]")
@click.option("--about-data", required=True, help="One sentence for the manifest: the data and its terms.")
def export(
    model: Path,
    data: Path,
    target: Path | None,
    recipe_file: Path | None,
    cache: Path | None,
    about_data: str,
    accept_unmet: bool,
    **asked: object,
) -> None:
    """Turn MODEL (siamese.keras) into one int8 TFLite file with its manifest, checked and calibrated on DATA.

    Nothing is written when int8 and float disagree, when a runtime cannot run it, or when the error rates
    asked for are not met.
    """
    from facelatch_training.data.crops import RowsOf
    from facelatch_training.export.export import export as export_model
    from facelatch_training.export.origin import about_model, origin_of
    from facelatch_training.fitting.material import load_material, make_material_yardstick
    from facelatch_training.judge.calibrate import calibrate_on, write
    from facelatch_training.model.siamese import load_siamese

    origin = origin_of(model, recipe_file)
    target = target or model.with_suffix(".tflite")
    wanted = targets(origin.recipe, asked)
    material = load_material(data, cache or model.with_name("cache"), stream=origin.recipe.stream)

    def calibrated(draft: Path) -> None:
        found = calibrate_on(draft, data, wanted)
        refuse_unmet(found, draft, accept_unmet)
        click.echo(calibration_table(found))
        write(found, draft)

    parity = export_model(
        load_siamese(model),
        RowsOf(material.crops, material.train),
        make_material_yardstick(material),
        target,
        about_model(origin, about_data),
        origin.recipe.seed,
        calibrated,
    )
    for name, value in parity.int8_figures.items():
        click.echo(f"{name:18} float {parity.float_figures[name]:.4f}   int8 {value:.4f}")
    click.echo(f"mean cosine of float and int8 embeddings: {parity.cosine:.4f}")
    for runtime in parity.runtimes.values():
        click.echo(f"runs in {runtime}")
    click.echo(f"saved {target}")


for _option in TARGET_OPTIONS:
    _option(export)

for command in (collect, prepare, evaluate, calibrate, report, all_, finder):
    commands.add_command(command)


def main() -> None:
    """Run a command; a known fault ends in one line, its hint and its own exit code."""
    try:
        commands(prog_name="facelatch-train")
    except FacelatchError as error:
        click.echo(f"facelatch-train: {error}", err=True)
        if error.hint:
            click.echo(f"  {error.hint}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"facelatch-train: {where}{error.strerror or error}", err=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES):
            click.echo(
                "  is the disk full, or the folder read-only? What was finished before is kept", err=True
            )
        sys.exit(InputError.exit_code)


if __name__ == "__main__":
    main()
