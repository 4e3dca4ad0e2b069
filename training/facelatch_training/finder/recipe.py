"""The recipe of a face finder: everything a run depends on, frozen, with a hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import Field

from facelatch.errors import InputError
from facelatch_training.recipe import Section, read_recipe

SIZES: tuple[tuple[int, int], ...] = ((320, 240), (160, 120))
"""Input sizes (width, height) px of the exported network; training uses the first."""


class Data(Section):
    """What `prepare` makes of the photos, the aligned crops and the empty backgrounds."""

    images: int = Field(gt=0)
    """Composed training pictures."""
    sprites: int = Field(ge=0)
    """Aligned crops (training identities only) at hand for pasting."""
    validation_share: float = Field(gt=0, lt=1)
    """Share of the photos and of the empty backgrounds kept for validation, by image."""
    photo_share: float = Field(ge=0, le=1)
    """Share of the composed pictures that show photos."""
    sprite_share: float = Field(ge=0, le=1)
    """Share that shows pasted crops on a background; the rest shows no face."""
    smallest_px: float = Field(gt=0)
    """Faces whose box's geometric mean side is smaller are neither asked for nor punished."""
    largest_px: float = Field(gt=0)
    rotation_deg: float = Field(ge=0, le=90)
    degrade_share: float = Field(ge=0, le=1)
    """Share of the pictures that get darkness, noise, blur, backlight, grey, occlusion or JPEG."""


class Fit(Section):
    """How the network is trained."""

    epochs: int = Field(gt=0)
    batch: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    box_weight: float = Field(ge=0)
    landmark_weight: float = Field(ge=0)


class Refine(Section):
    """The refining network: its patches, and how it is trained."""

    patches: int = Field(gt=0)
    """Faces cut out for training, a validation share of as many thirtieths besides."""
    photo_share: float = Field(ge=0, le=1)
    """Share of the patches cut out of photos; the others are aligned crops."""
    least_eyes_px: float = Field(gt=0)
    """Eye distance of the least sharp faces."""
    roughness: float = Field(ge=0)
    """Spread of the landmarks a patch is cut by, as a share of the eye distance."""
    turn_deg: float = Field(ge=0)
    """Spread of the turn by which they are wrong besides."""
    degrade_share: float = Field(ge=0, le=1)
    epochs: int = Field(gt=0)
    batch: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)


_ONLY_TRAINING = {"epochs", "batch", "learning_rate", "weight_decay"}


class Recipe(Section):
    """`config/finder.toml`."""

    seed: int
    data: Data
    fit: Fit
    refine: Refine

    @property
    def sha256(self) -> str:
        """Of the canonical text of this recipe."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @property
    def data_sha256(self) -> str:
        """Of what `prepare` goes by: how long and how fast is trained afterwards changes no data."""
        of_data = self.model_dump_json(exclude={"fit": True, "refine": _ONLY_TRAINING})
        return hashlib.sha256(of_data.encode()).hexdigest()


def load_recipe(path: Path) -> Recipe:
    """The recipe in a TOML file. Raises ConfigError naming file, key and rule for every fault at once."""
    return read_recipe(Recipe, path, "config/finder.toml")


def refuse_other_data(path: Path, about: dict[str, str], recipe: Recipe) -> None:
    """Raises InputError when the data that `path` is `about` were prepared otherwise than by `recipe`: with another
    seed or share, photos that are kept for validation here were trained on there.
    """
    if about.get("data_sha256") != recipe.data_sha256:
        raise InputError(
            f"{path}: prepared by another recipe",
            hint="run `facelatch-train finder prepare` by this one, or give the recipe it was prepared by",
        )


def is_validation(name: str, recipe: Recipe) -> bool:
    """Whether a file of this name is kept for validation: decided by a seeded hash, never by order."""
    digest = hashlib.sha256(f"{recipe.seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32 < recipe.data.validation_share
