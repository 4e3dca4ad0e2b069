"""What a model was made by and of: its recipe, its data, the commit of the code."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from facelatch.errors import InputError, ModelError
from facelatch_training.model.siamese import refuse_other_alignment
from facelatch_training.recipe import TOY_NAME, Recipe, load_recipe, recipe_hash


@dataclass(frozen=True)
class Origin:
    """The recipe and the data that a model was made of, as far as its run folder says."""

    recipe: Recipe
    recipe_sha256: str
    trained_on: str | None
    """Fingerprint of the crop set whose training part it saw; None when there is no run folder to tell."""


def origin_of(model: Path, recipe_file: Path | None) -> Origin:
    """The origin of `model` (siamese.keras) by the run folder it lies in.

    `recipe_file` stands in where no `recipe.json` lies beside the model. Raises InputError when neither is
    there or they disagree, ModelError for a run that belongs to another version of this program.
    """
    path = model.with_name("recipe.json")
    named_recipe = None if recipe_file is None else load_recipe(recipe_file)
    if not path.is_file():
        if named_recipe is None:
            raise InputError(
                f"{path}: not there, so nobody knows which recipe made {model.name}",
                hint="export the siamese.keras of a run folder, or name the recipe with --recipe",
            )
        return Origin(named_recipe, recipe_hash(named_recipe), None)
    run = json.loads(path.read_text(encoding="utf-8"))
    refuse_other_alignment(model)
    if named_recipe is not None and recipe_hash(named_recipe) != run["recipe_sha256"]:
        raise InputError(
            f"{path}: recipe_sha256 is {run['recipe_sha256'][:12]}, that of {recipe_file} is "
            f"{recipe_hash(named_recipe)[:12]}",
            hint="leave out --recipe: the run knows its own",
        )
    try:
        recipe = named_recipe or Recipe.model_validate(run["recipe"])
    except ValidationError as error:
        raise ModelError(
            f"{path}: not a recipe of this version: {error.errors()[0]['loc']}", hint="name it with --recipe"
        ) from error
    return Origin(recipe, run["recipe_sha256"], run["data"])


def about_model(origin: Origin, data: str) -> dict[str, Any]:
    """What the manifest says of a model's origin; `data` in one sentence."""
    return {
        "data": data,
        "recipe_sha256": origin.recipe_sha256,
        "opens_doors": origin.recipe.name != TOY_NAME,
        "extra": {"trained_on": origin.trained_on},
    }


def code_commit() -> str:
    """The commit of the code that exported, `-dirty` when the tree differs, or `unknown` outside of a
    checkout.
    """
    here = Path(__file__).parent
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=here,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"
