"""`facelatch-train teach`: what teachers in ONNX say of a crop set, asked once."""

from __future__ import annotations

from pathlib import Path

import click

from facelatch_training.cli.options import ANY, EXISTING_FILE, EXISTING_FOLDER
from facelatch_training.cli.output import say


@click.command()
@click.argument("data", type=EXISTING_FOLDER)
@click.option("--teacher", "teachers", type=EXISTING_FILE, multiple=True, required=True, help="An .onnx file; repeat.")
@click.option("--out", type=ANY, required=True, help="Folder for the packed answers; the same one resumes.")
@click.option("--recipe", "recipe_file", type=EXISTING_FILE, required=True, help="Which morphs to ask about, too.")
@click.option("--cache", type=ANY, help="Where decoded crops are kept.  [default: cache in OUT]")
def teach(data: Path, teachers: tuple[Path, ...], out: Path, recipe_file: Path, cache: Path | None) -> None:
    """Ask recognisers in ONNX about every crop of DATA and its mirror image, and pack the answers for `fit --answers`.

    Parts have at most 64 MiB. Killed at any moment, the same command goes on where it was.
    """
    from facelatch_training.batches.onnx_teacher import answer_all
    from facelatch_training.batches.teacher import make_morphs
    from facelatch_training.data.crops import RowsOf
    from facelatch_training.fitting.material import MORPHS, load_material, morphs_mark
    from facelatch_training.recipe import load_recipe

    metric = load_recipe(recipe_file).metric
    material = load_material(data, cache or out / "cache")
    say(f"packed: {answer_all(teachers, material.crops, material.fingerprint, out)}")
    if metric.morphs and metric.morph_share:
        morphs = make_morphs(RowsOf(material.crops, material.train), metric.morphs, metric.morph_seed)
        mark = morphs_mark(material.fingerprint, metric.morphs, metric.morph_seed)
        say(f"packed: {answer_all(teachers, morphs, mark, out / MORPHS)}")
