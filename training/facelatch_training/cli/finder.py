"""`facelatch-train finder`: prepare, fit, refine, export, evaluate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facelatch.errors import InputError
from facelatch_training.cli.options import FILE, FOLDER
from facelatch_training.cli.output import say

if TYPE_CHECKING:
    from facelatch_training.finder.recipe import Recipe

_recipe = click.option("--recipe", type=FILE, default=Path("config/finder.toml"), show_default=True)
_data = click.option("--data", type=FOLDER, required=True, help="Folder with scenes/, faces/ and clips.tar.")
_teacher = click.option("--teacher", type=FILE, required=True, help="YuNet's ONNX file.")
_prepared = click.option("--prepared", type=FOLDER, default=Path("runs/finder-data"), show_default=True)
_run = click.option("--run", type=FOLDER, default=Path("runs/finder"), show_default=True)
_model = click.option("--model", type=FILE, default=Path("models/finder.tflite"), show_default=True)

@click.group()
def finder() -> None:
    """Train Facelatch's own face finder: box, five landmarks, score."""

@finder.command()
@_recipe
@_data
@_teacher
@_prepared
def prepare(recipe: Path, data: Path, teacher: Path, prepared: Path) -> None:
    """Compose training pictures from photos, aligned crops and empty backgrounds."""
    from facelatch_training.finder.data import prepare as stage

    pictures = stage.prepare(_load(recipe), data, teacher, prepared)
    say(f"{len(pictures.images)} pictures in {prepared}, fingerprint {pictures.fingerprint[:12]}")

@finder.command()
@_recipe
@_prepared
@_run
@click.option("--start", type=FILE, help="A finder.keras whose weights to begin with.")
def fit(recipe: Path, prepared: Path, run: Path, start: Path | None) -> None:
    """Train; run it again to go on where it was cut off."""
    from facelatch_training.finder.data.prepare import VALIDATION, load
    from facelatch_training.finder.model import fit as stage

    loaded = _load(recipe)
    data, check = (load(prepared / part, loaded) for part in ("", VALIDATION))
    stage.fit(loaded, data, run, check=check, start=start)
    say(f"trained: {run / stage.FINAL}, curves in {run / 'curves.png'}")

@finder.command()
@_recipe
@_prepared
@_run
@click.option("--start", type=FILE, help="A refiner.keras whose weights to begin with.")
def refine(recipe: Path, prepared: Path, run: Path, start: Path | None) -> None:
    """Train the network that sharpens landmarks; run it again to go on where it was cut off."""
    from facelatch_training.finder.data.patches import load_patches
    from facelatch_training.finder.data.prepare import PATCHES, VALIDATION
    from facelatch_training.finder.model import fit as stage

    loaded = _load(recipe)
    data, check = (load_patches(prepared / PATCHES / part, loaded) for part in ("", VALIDATION))
    stage.fit_refiner(loaded, data, run / stage.REFINER_FOLDER, check=check, start=start)
    say(f"trained: {run / stage.REFINER_FOLDER / stage.REFINER_FINAL}")

@finder.command()
@_recipe
@_prepared
@_run
@click.option("--out", type=FOLDER, default=Path("models"), show_default=True)
def export(recipe: Path, prepared: Path, run: Path, out: Path) -> None:
    """Write finder.tflite (int8, both networks), its manifest and the float weights."""
    from facelatch_training.export.origin import code_commit
    from facelatch_training.finder.data.patches import load_patches
    from facelatch_training.finder.data.prepare import PATCHES, load
    from facelatch_training.finder.model import export as stage
    from facelatch_training.finder.model.fit import FINAL, REFINER_FINAL, REFINER_FOLDER
    from facelatch_training.finder.model.runs import averaged, refuse_other_recipe

    loaded = _load(recipe)
    for folder in (run, run / REFINER_FOLDER):
        refuse_other_recipe(folder, loaded)
    path = stage.export(
        averaged(run, FINAL),
        averaged(run / REFINER_FOLDER, REFINER_FINAL),
        loaded,
        load(prepared, loaded),
        load_patches(prepared / PATCHES, loaded),
        out,
        commit=code_commit(),
    )
    say(f"{path}: {path.stat().st_size / 1000:.0f} kB")

@finder.command()
@_recipe
@_data
@_teacher
@_model
@click.option("--reference", type=FOLDER, help="Folder of the reference recogniser, to verify with.")
@click.option("--pairs", default=3000, show_default=True, help="Pairs of validation crops to verify.")
@click.option("--write/--no-write", default=False, help="Put figures and score threshold into the manifest.")
def evaluate(
    recipe: Path, data: Path, teacher: Path, model: Path, reference: Path | None, pairs: int, write: bool
) -> None:
    """Measure the exported file against YuNet and OpenCV's cascade, in one run on one thread."""
    from facelatch.vision.finder_manifest import load_finder_manifest
    from facelatch_training.files import write_manifest
    from facelatch_training.finder.judge.measure import measure

    loaded, manifest = _load(recipe), load_finder_manifest(model)
    if manifest.recipe_sha256 != loaded.sha256:
        raise InputError(
            f"{model}: made by another recipe than {recipe}, so it may have trained on the photos kept by this one",
            hint="give the recipe it was made by",
        )
    figures = measure(model, loaded, data, teacher, reference=reference, pairs=pairs)
    say(json.dumps(figures, indent=1))
    if write:
        threshold = figures["scenes"]["facelatch"]["threshold"]["0.1"]
        write_manifest(model, manifest.model_copy(update={"score_threshold": threshold, "figures": figures}))

def _load(path: Path) -> Recipe:
    from facelatch_training.finder.recipe import load_recipe

    return load_recipe(path)
