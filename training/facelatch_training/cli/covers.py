"""`facelatch-train covers`: a trained model made to tell covered faces apart, without training."""

from __future__ import annotations

from pathlib import Path

import click

from facelatch_training.cli.options import ANY, EXISTING_FILE, EXISTING_FOLDER
from facelatch_training.cli.output import say


@click.command()
@click.argument("model", type=EXISTING_FILE)
@click.argument("data", type=EXISTING_FOLDER)
@click.option("--run", "run_folder", type=ANY, required=True, help="Folder for the new siamese.keras.")
@click.option("--recipe", "recipe_file", type=EXISTING_FILE, required=True, help="The recipe of MODEL.")
@click.option("--cache", type=ANY, help="Where decoded crops are kept.  [default: cache in RUN]")
def covers(model: Path, data: Path, run_folder: Path, recipe_file: Path, cache: Path | None) -> None:
    """Take out of MODEL (siamese.keras) what sunglasses, scarf, mask and cap have in common.

    In closed form, from a thousand training crops of DATA with covers drawn on them; then `export` makes all that hangs
    on the model anew.
    """
    from facelatch_training.fitting.covers import without_covers
    from facelatch_training.fitting.material import load_material
    from facelatch_training.recipe import load_recipe

    recipe = load_recipe(recipe_file)
    material = load_material(data, cache or run_folder / "cache", stream=recipe.stream)
    target, figures = without_covers(material, run_folder, recipe, model)
    say("  ".join(f"{name} {value:.4f}" for name, value in figures.items()))
    say(f"saved {target}")
