"""The recipe of a training run: frozen, checked as a whole, saved with its hash into every run folder."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from facelatch.config.file import Config
from facelatch.config.shipped import shipped_file
from facelatch.errors import ConfigError

TOY_NAME = "tiny"
"""A recipe of this name makes toys: no door opens with its models."""


class Section(BaseModel):
    """A table of a recipe: unknown keys are faults, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


S = TypeVar("S", bound=Section)


class TowerRecipe(Section):
    """The embedding tower: a stem at half size, then one stage per width, each halving the picture again."""

    stem: int = Field(default=32, ge=4)
    widths: tuple[int, ...] = (48, 96, 160)
    blocks: tuple[int, ...] = (1, 2, 2)
    head: int = Field(default=384, ge=0)
    """Channels of the 1x1 convolution before the pooling; 0 leaves it out."""
    core: int = Field(default=128, ge=8, le=512)
    """Dimensions in which the metric stage compares by angle; a teacher must have as many."""
    embedding: int = Field(default=384, ge=8, le=512)
    """Dimensions in which the Siamese head compares by L1 distance."""
    mirror: bool = False
    """Whether the tower looks at the mirror image, too: twice the arithmetic."""

    @model_validator(mode="after")
    def _as_many(self) -> TowerRecipe:
        if len(self.widths) != len(self.blocks) or not self.widths:
            raise ValueError("widths and blocks must have the same, non-zero length")
        return self


class AugmentRecipe(Section):
    """How strongly training samples are varied; see batches/augment.py."""

    flip: float = Field(default=0.5, ge=0, le=1)
    mild: float = Field(default=0.6, ge=0, le=1)
    """Share of samples that meet no trouble beyond alignment error and a little light."""
    jitter: float = Field(default=0.04, ge=0, le=0.5)
    """Standard deviation of the alignment error in eye distances."""
    wild: float = Field(default=0.15, ge=0, le=1)
    """Share of samples with an alignment error `wild_factor` times as large."""
    wild_factor: float = Field(default=2.5, ge=1)
    grey: float = Field(default=0.1, ge=0, le=1)
    covered: float = Field(default=0.0, ge=0, le=1)
    """Share of samples with drawn sunglasses, scarf, mask or cap; the teacher's answer is that for the bare face."""
    nobody: float = Field(default=0.0, ge=0, lt=1)
    """Share of samples that show nobody who could be read: turned, empty, noise, shuffled, all covered. They belong
    in one direction, where the teacher puts nobody."""


class MetricRecipe(Section):
    """The metric stage: distillation and margin softmax, at a warm-up, stable, decay rate."""

    batch: int = Field(default=128, ge=2)
    steps: int = Field(default=10_000, ge=1)
    warmup_steps: int = Field(default=300, ge=0)
    decay_steps: int = Field(default=2_500, ge=0)
    """The last so many steps fall linearly to zero; a run may start them early (`fit --finish-in`)."""
    round_steps: int = Field(default=150, ge=1)
    """Steps between two checkpoints."""
    validate_rounds: int = Field(default=3, ge=1)
    """Rounds between two looks at the yardstick."""
    patience: int = Field(default=0, ge=0)
    """Looks without a better yardstick after which the stage ends; 0 never ends early."""
    optimizer: Literal["muon", "adamw"] = "muon"
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    """What the convolutions are computed in while training; weights are float32 either way."""
    rate: float = Field(default=2e-3, gt=0)
    adam_ratio: float = Field(default=1.0, gt=0)
    """Rate of what Muon leaves to AdamW (vectors, centres), relative to `rate`."""
    weight_decay: float = Field(default=0.02, ge=0)
    distill_weight: float = Field(default=10.0, ge=0)
    live_teacher: bool = False
    """Whether the teacher answers for the very picture the student sees or its mirror image, unless that was spoilt;
    else always for the clean one.
    """
    margin_weight: float = Field(default=1.0, ge=0)
    margin: float = Field(default=0.2, ge=0, lt=1)
    scale: float = Field(default=32.0, gt=0)
    morph_share: float = Field(default=0.3, ge=0, lt=1)
    morphs: int = Field(default=60_000, ge=0)
    morph_seed: int = Field(default=1, ge=0)
    """The morphs' own seed, so that they can be kept when the run's seed changes."""


class SiameseRecipe(Section):
    """The Siamese stage: pairs, L1 distance, sigmoid, binary cross-entropy, Adam at a low rate."""

    batch: int = Field(default=64, ge=2)
    """Pairs per step."""
    steps: int = Field(default=600, ge=1)
    warmup_steps: int = Field(default=50, ge=0)
    decay_steps: int = Field(default=400, ge=0)
    round_steps: int = Field(default=100, ge=1)
    rate: float = Field(default=1e-3, gt=0)
    """Rate of the head; the tower learns at `rate * tower_rate`."""
    tower_rate: float = Field(default=0.02, ge=0, le=1)
    relatives: float = Field(default=0.25, ge=0, le=1)
    """Share of impostor pairs that are relatives."""
    nearest: float = Field(default=0.25, ge=0, le=1)
    """Share of impostor pairs that are nearest strangers."""
    validate_rounds: int = Field(default=2, ge=1)
    patience: int = Field(default=0, ge=0)


class Targets(Section):
    """The error rates asked for, and the door they are asked for at."""

    fmr: float = Field(default=1e-4, gt=0, lt=1)
    """False match rate of one comparison."""
    far_per_attempt: float = Field(default=1e-3, gt=0, lt=1)
    """False grants per visit of a stranger."""
    frr_varied: float | None = Field(default=None, gt=0, lt=1)
    """False refusals of a visit in which the visitor moves; None: whatever comes."""
    frr_still: float | None = Field(default=None, gt=0, lt=1)
    """The same of a visit that shows one view."""
    worst_slice: float | None = Field(default=None, ge=1)
    """How many times `fmr` the FMR of covered faces may be, whatever covers them; None: they are not asked about."""
    seconds_to_grant: float | None = Field(default=None, gt=0)
    """Median time from the first usable frame; None: whatever comes."""
    enrolled: int = Field(default=10, ge=1)
    """People in the gallery."""
    references: tuple[int, ...] = Field(default=(Config().enrolment.references,), min_length=1)
    """Numbers of references that may be chosen; the door keeps `enrolment.references`."""
    frames: tuple[int, ...] = Field(default=(Config().session.required_matches,), min_length=1)
    """Numbers of consecutive frames that may be chosen; the door asks `session.required_matches`."""
    households: int = Field(default=100, ge=1)
    """Galleries that are drawn; everybody else visits each of them."""
    seed: int = Field(default=0, ge=0)


class Recipe(Section):
    """`config/training.toml`."""

    name: str = "facelatch"
    seed: int = Field(default=7, ge=0)
    workers: int = Field(default=2, ge=1)
    """Threads that prepare batches, or with `processes` in the metric stage processes."""
    processes: bool = False
    """Whether the metric stage's workers are processes: more than a few threads get in each other's way."""
    stream: bool = False
    """Read crops shard by shard from the tars instead of mapping one large cache file; no morphs then."""
    tower: TowerRecipe = TowerRecipe()
    augment: AugmentRecipe = AugmentRecipe()
    metric: MetricRecipe = MetricRecipe()
    siamese: SiameseRecipe = SiameseRecipe()
    calibration: Targets = Targets()

    @model_validator(mode="after")
    def _read_once(self) -> Recipe:
        if self.processes and self.stream:
            raise ValueError(
                "processes = true does not go with stream = true: each process would read all shards"
            )
        return self


def recipe_hash(recipe: Recipe) -> str:
    """SHA-256 of what the weights depend on, independent of the layout of the file."""
    trained = recipe.model_dump(mode="json", exclude={"calibration", "workers", "processes"})
    for newer in ("covered", "nobody"):  # recipes from before they existed keep their hash
        if not trained["augment"][newer]:
            del trained["augment"][newer]
    text = json.dumps(trained, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def shipped_recipe() -> Path:
    """The recipe that comes with the project."""
    return shipped_file("config", "training.toml")


def load_recipe(path: Path) -> Recipe:
    """Read a recipe. Raises as `read_recipe`."""
    return read_recipe(Recipe, path, "config/training.toml")


def read_recipe(schema: type[S], path: Path, shipped: str) -> S:
    """The recipe in a TOML file. Raises ConfigError that names the file and every faulty or unknown key.

    `shipped` names the project's recipe of this kind, in which every key is explained.
    """
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", hint="give the recipe with --recipe") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}", hint=f"see {shipped}") from error
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        faults = "; ".join(_in_words(fault) for fault in error.errors())
        raise ConfigError(f"{path}: {faults}", hint=f"{shipped} explains every key") from error


def _in_words(fault: ErrorDetails) -> str:
    """A fault of the recipe as `key = value: rule`."""
    key = ".".join(map(str, fault["loc"])) or "as a whole"
    value = "" if isinstance(fault["input"], dict) else f" = {fault['input']!r}"
    return f"{key}{value}: {fault['msg']}"


def tiny_recipe() -> Recipe:
    """A recipe that goes through every step in seconds and ends in a model that opens no door."""
    return Recipe(
        name=TOY_NAME,
        workers=1,
        tower=TowerRecipe(stem=8, widths=(8, 16), blocks=(1, 1), head=16, core=16, embedding=32),
        augment=AugmentRecipe(mild=1.0),
        metric=MetricRecipe(
            batch=16,
            steps=40,
            warmup_steps=5,
            decay_steps=20,
            round_steps=10,
            validate_rounds=2,
            distill_weight=0.0,
            morphs=0,
        ),
        siamese=SiameseRecipe(batch=16, steps=20, warmup_steps=2, decay_steps=10, round_steps=10),
    )
