"""The liveness network's manifest: what `liveness.json` says of `liveness.tflite`, checked against the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from facelatch.errors import ModelError
from facelatch.vision.liveness import LOOKS, VIEW_PX
from facelatch.vision.manifest import described

SIGNATURE = "look"
AGAIN = "fetch the model and its manifest again together, or export both (facelatch-train liveness export)"
"""The hint where model and manifest do not belong together."""
CONVERT = "facelatch-train liveness convert FOLDER FILE makes both from a MiniFASNet pair of ncnn's"
"""The hint where an extra model is at fault."""


class Level(BaseModel):
    """How sure the door has to be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: float = Field(allow_inf_nan=False)
    """Least mean logit of a track's looks that counts as alive."""
    apcer: float = Field(ge=0, le=1)
    """Share of attacks of left-out sources that pass, by single pictures: the target that set the threshold."""
    bpcer: float = Field(ge=0, le=1)
    """Share of living faces of left-out sources that do not."""


class LivenessManifest(BaseModel):
    """The content of `models/liveness.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    format: Literal[1]
    kind: Literal["liveness"]
    model_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    view_px: int
    looks: list[float]
    """Scales of the views that it was judged with, as `vision.liveness.LOOKS`."""
    seconds: float = Field(gt=0)
    """How long a face has to be followed before its looks decide."""
    pictures: int = Field(gt=0)
    """How many looks there have to be at least."""
    basic: Level
    strict: Level
    basic_with_extra: Level | None = None
    """The same where the owner's MiniFASNet pair is asked as well; None: never calibrated so."""
    strict_with_extra: Level | None = None
    data: str
    recipe_sha256: str
    commit: str
    created: str
    figures: dict[str, Any]
    """What `facelatch-train liveness evaluate` measured with this very file."""

    def level(self, name: str, *, extra: bool) -> Level | None:
        """The level `basic` or `strict`, with the owner's pair or without; None where that was not calibrated."""
        if extra:
            return self.strict_with_extra if name == "strict" else self.basic_with_extra
        return self.strict if name == "strict" else self.basic


class ExtraManifest(BaseModel):
    """What lies beside a converted MiniFASNet pair."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    format: Literal[1]
    kind: Literal["liveness-extra"]
    model_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    scales: list[float]
    """How many times the face's box each of its networks sees."""
    live: int = Field(ge=0)
    """Which of its classes is alive."""


def extra_signature(scale: float) -> str:
    """The signature of the network that sees so many times the face's box."""
    return f"look_{scale:.1f}".replace(".", "_")


def load_extra(model: Path) -> tuple[ExtraManifest, bytes]:
    """The manifest of a converted pair, checked against the file, and the bytes checked. Raises ModelError."""
    return described(model, ExtraManifest.model_validate_json, "the manifest of a converted pair", CONVERT)


def load_liveness(model: Path) -> tuple[LivenessManifest, bytes]:
    """The manifest of `model` (`liveness.tflite` -> `liveness.json`), checked against the file, and the bytes checked.

    Raises ModelError: file missing, manifest missing or malformed, wrong hash, another way to look at a face.
    """
    path, what = model.with_suffix(".json"), "a liveness network's manifest"
    manifest, content = described(model, LivenessManifest.model_validate_json, what, AGAIN)
    if manifest.view_px != VIEW_PX or manifest.looks != list(LOOKS):
        raise ModelError(f"{path}: made for looks {manifest.looks} of {manifest.view_px} px", hint=AGAIN)
    return manifest, content
