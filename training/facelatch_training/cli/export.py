"""`facelatch-train export`."""

from __future__ import annotations

from pathlib import Path

import click

from facelatch_training.cli.fit import ANY_PATH, EXISTING_FOLDER
from facelatch_training.cli.options import (
    EXISTING_FILE,
    TARGET_OPTIONS,
    calibration_table,
    refuse_unmet,
    targets,
)


@click.command()
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
