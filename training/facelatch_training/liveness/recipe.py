"""The recipe of a liveness network: everything a run depends on, frozen, with a hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import Field

from facelatch_training.recipe import Section, read_recipe


class Data(Section):
    """What `prepare` makes."""

    real_views: int = Field(gt=0)
    """Views of labelled pictures; each source gets a part that grows with the root of its size."""
    made_attacks: int = Field(ge=0)
    """Views of rendered presentations."""
    made_live: int = Field(ge=0)
    """Views of photographs of people, seen by the same camera as the rendered presentations."""
    faces: int = Field(ge=0)
    """Views of close faces, seen by it as well."""
    mixed: int = Field(ge=0)
    """Views laid over each other: for the teacher alone, as nobody knows what they are."""
    views_each: int = Field(gt=0)
    """Views of each scene that is rendered or photographed; the numbers above are multiples of it."""
    least_scale: float = Field(gt=0)
    """Least context of a view, as a multiple of the face's box."""
    largest_scale: float = Field(gt=0)

    @property
    def total(self) -> int:
        """All views together."""
        return self.real_views + self.made_attacks + self.made_live + self.faces + self.mixed


class Shape(Section):
    """How large the network is."""

    stem: int = Field(gt=0)
    """Channels at half size."""
    widths: tuple[int, int, int]
    """Channels of the stages, each of which halves the picture again."""
    blocks: tuple[int, int, int]
    """Residual blocks of each stage."""
    places: int = Field(ge=0)
    """Channels that are weighed place by place at the end, as an edge means something else beside a face; 0: the last
    stage's mean over all places instead."""


class Fit(Section):
    """How the network is trained."""

    epochs: int = Field(gt=0)
    steps: int = Field(gt=0)
    """Batches of an epoch."""
    batch: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    label_weight: float = Field(ge=0)
    """Of the cross entropy of being alive, where that is known."""
    kind_weight: float = Field(ge=0)
    """Of telling screens from prints, where that is known."""
    teacher_weight: float = Field(ge=0)
    """Of the distance to the teacher's logit."""
    features_weight: float = Field(ge=0)
    """Of the distance to the teacher's features."""
    maps_weight: float = Field(ge=0)
    """Of the distance to the teacher's last maps."""
    label_share: float = Field(ge=0, le=1)
    """At the door: how much the logit learnt from labels counts beside the teacher's."""


class Recipe(Section):
    """`config/liveness.toml`."""

    seed: int
    data: Data
    network: Shape
    fit: Fit

    @property
    def sha256(self) -> str:
        """Of the canonical text of this recipe."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @property
    def data_sha256(self) -> str:
        """Of what `prepare` goes by."""
        return hashlib.sha256(self.model_dump_json(exclude={"network", "fit"}).encode()).hexdigest()


def load_recipe(path: Path) -> Recipe:
    """The recipe in a TOML file. Raises ConfigError that names every fault."""
    return read_recipe(Recipe, path, "config/liveness.toml")
