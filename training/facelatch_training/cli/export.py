"""`facelatch-train export`."""

from __future__ import annotations

from pathlib import Path

import click

from facelatch_training.cli.judge import refuse_unmet
from facelatch_training.cli.options import ANY, EXISTING_FILE, EXISTING_FOLDER, TargetChoice, target_options
from facelatch_training.cli.output import say


@click.command()
@click.argument("model", type=EXISTING_FILE)
@click.argument("data", type=EXISTING_FOLDER)
@click.option("--to", "target", type=ANY, help="The .tflite file to make.  [default: beside MODEL]")
@click.option("--recipe", "recipe_file", type=EXISTING_FILE, help="[default: the recipe of MODEL's run]")
@click.option("--cache", type=ANY, help="Where decoded crops are kept.  [default: cache beside MODEL]")
@click.option("--about-data", required=True, help="One sentence for the manifest: the data and its terms.")
@target_options
def export(
    model: Path,
    data: Path,
    target: Path | None,
    recipe_file: Path | None,
    cache: Path | None,
    about_data: str,
    target_choice: TargetChoice,
) -> None:
    """Turn MODEL (siamese.keras) into one int8 TFLite file with its manifest, checked and calibrated on DATA.

    Nothing is written when int8 and float disagree, when a runtime cannot run it, or when the error rates
    asked for are not met.
    """
    from facelatch.vision.manifest import load_manifest
    from facelatch_training.export.export import export_trained
    from facelatch_training.export.origin import origin_of
    from facelatch_training.fitting.material import load_material
    from facelatch_training.judge.calibrate import calibrate_on, write
    from facelatch_training.judge.cohort import write_cohort
    from facelatch_training.judge.table import calibration_table

    origin = origin_of(model, recipe_file)
    target = target or model.with_suffix(".tflite")
    targets = target_choice.targets(origin.recipe)
    material = load_material(data, cache or model.with_name("cache"), stream=origin.recipe.stream)

    def calibrate(draft: Path) -> None:
        calibration = calibrate_on(draft, data, targets)
        refuse_unmet(calibration, draft, target_choice.accept_unmet)
        say(calibration_table(calibration))
        write(calibration, draft)

    parity = export_trained(model, origin, material, target, about_data=about_data, calibrate=calibrate)
    for name, value in parity.int8_figures.items():
        say(f"{name:18} float {parity.float_figures[name]:.4f}   int8 {value:.4f}")
    say(f"mean cosine of float and int8 embeddings: {parity.cosine:.4f}")
    for runtime in parity.runtimes.values():
        say(f"runs in {runtime}")
    if load_manifest(target).opens_doors:
        say(f"{write_cohort(target, data).people} people who do not exist beside it")
    say(f"saved {target}")
