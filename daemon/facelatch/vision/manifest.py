"""The manifest beside a model: what the file is, what it was measured to do, and whether it fits this code."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from facelatch.errors import ModelError
from facelatch.vision.align import ALIGN_VERSION

SIGNATURES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "embed": (("image",), ("embedding",)),
    "compare": (("probe", "gallery"), ("similarity",)),
    "verify": (("anchor", "validation"), ("similarity",)),
}
"""The signatures of a Siamese model with the names of their inputs and outputs."""

_RETRAIN = "fetch the model and its manifest again together, or export both with `facelatch-train export`"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Rate(_Strict):
    """One measured figure and what it rests on."""

    value: float
    low: float | None = None
    """Lower end of the 95 % bootstrap interval over identities."""
    high: float | None = None
    identities: int = Field(ge=0)
    comparisons: int = Field(ge=0)
    data: str
    """Which images, in words."""


class CalibratedDoor(_Strict):
    """The door that the rates per attempt and the verification threshold were found for."""

    enrolled: int = Field(ge=1)
    """People in the gallery."""
    references: int = Field(ge=1)
    """Of each person; `enrolment.references`."""
    required_matches: int = Field(ge=1)
    """Consecutive frames; `session.required_matches`."""


class CalibratedVisits(_Strict):
    """What the line needs to judge the pictures of a visit together; see facelatch.values.observations.Thresholds."""

    likeness_threshold: float = Field(gt=0, lt=1)
    steady_threshold: float = Field(gt=0, lt=1)
    lookalike_threshold: float = Field(gt=0, lt=1)
    lookalike_verification_threshold: float = Field(gt=0, le=1)


class CohortEntry(_Strict):
    """The cohort beside the model (see `vision.cohort`), and the limits that go with it."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of the `.cohort` file."""
    people: int = Field(ge=1)
    """How many people who do not exist."""
    unfamiliar_from: float = Field(gt=0, le=1)
    """Cosine to the nearest point from which an embedding says nothing of who it is."""
    most_let_in: float = Field(gt=0, lt=1)
    """Share of the cohort, shown in any one kind, that a person's references may let in."""
    figures: dict[str, float] = Field(default_factory=dict)
    """What `facelatch-train cohort` measured with both limits."""


class Manifest(_Strict):
    """The content of `models/siamese.json`."""

    format: Literal[1]
    kind: Literal["siamese"]
    model_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    align_version: int
    embedding_size: int = Field(ge=8, le=4096)
    signatures: dict[str, dict[str, list[str]]]
    """Per signature `inputs` and `outputs`, the tensor names."""
    detection_threshold: float = Field(gt=0, lt=1)
    verification_threshold: float = Field(gt=0, le=1)
    opens_doors: bool = False
    """False for models trained on toy data, and where nothing is said: app.build refuses to serve a door with them."""
    rates: dict[str, Rate]
    """Empty until the model is calibrated; without `far_per_attempt` it serves no door."""
    calibrated_for: CalibratedDoor | None = None
    visits: CalibratedVisits | None = None
    """None: calibrated for frames that are judged one by one, as all models were up to version 0.2."""
    cohort: CohortEntry | None = None
    """None: made without one; it serves no door."""
    data: str
    """What it was trained on and under which terms, in one sentence."""
    recipe_sha256: str
    commit: str
    created: str
    extra: dict[str, Any] = Field(default_factory=dict)
    """Whatever else the exporter wants to tell (calibration targets, versions); the daemon ignores it."""


def load_manifest(model: Path) -> Manifest:
    """The manifest of `model`, as `load_model`, for whoever does not run it."""
    return load_model(model)[0]


def load_model(model: Path) -> tuple[Manifest, bytes]:
    """The manifest of `model` (`siamese.tflite` -> `siamese.json`), checked against the file and this code, and the
    very bytes that were checked: the file may be another by the time it is opened again.

    Raises ModelError: file missing, manifest missing or malformed, wrong hash, wrong alignment version,
    missing signature; each with its own message.
    """
    path = model.with_suffix(".json")
    manifest, content = described(model, Manifest.model_validate_json, "a model manifest", _RETRAIN)
    if manifest.align_version != ALIGN_VERSION:
        raise ModelError(
            f"{path}: align_version is {manifest.align_version}, this program aligns by version {ALIGN_VERSION}",
            hint="use the model that came with this version of facelatch",
        )
    for name, (inputs, outputs) in SIGNATURES.items():
        found = manifest.signatures.get(name)
        if found is None or found.get("inputs") != list(inputs) or found.get("outputs") != list(outputs):
            raise ModelError(
                f"{path}: signature {name!r} is {found or 'missing'}, "
                f"expected inputs {list(inputs)} and outputs {list(outputs)}",
                hint=_RETRAIN,
            )
    return manifest, content


class Described(Protocol):
    """Every manifest, whatever else it says."""

    @property
    def model_sha256(self) -> str:
        """Of the file that it describes."""
        ...


_Manifest = TypeVar("_Manifest", bound=Described)


def described(
    model: Path, parse: Callable[[bytes], _Manifest], what: str, hint: str
) -> tuple[_Manifest, bytes]:
    """The manifest beside `model`, as `parse` reads it, and the bytes of `model`, which it fits.

    Raises ModelError: a file is missing, the manifest is not `what` it should be, wrong hash.
    """
    path = model.with_suffix(".json")
    for needed in (model, path):
        if not needed.is_file():
            raise ModelError(f"{needed}: no such file", hint=hint)
    try:
        manifest = parse(path.read_bytes())
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ModelError(f"{path}: not {what} ({faults})", hint=hint) from error
    return manifest, checked_bytes(model, manifest.model_sha256)


def checked_bytes(model: Path, expected_sha256: str) -> bytes:
    """The file's content. Raises ModelError unless it is the one the manifest describes."""
    try:
        content = model.read_bytes()
    except OSError as error:
        raise ModelError(f"{model}: {error.strerror}", hint="check who may read it") from error
    actual = hashlib.sha256(content).hexdigest()
    if actual != expected_sha256:
        raise ModelError(
            f"{model}: sha256 is {actual[:12]}..., its manifest says {expected_sha256[:12]}...", hint=_RETRAIN
        )
    return content
