"""The face finder's manifest: what `finder.json` says of `finder.tflite`, checked against the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from facelatch.errors import ModelError
from facelatch.vision.manifest import described

FULL, SMALL = (320, 240), (160, 120)
"""Input sizes (width, height) px: of a whole picture, and of the region about a face that is followed."""

REFINE = "refine_56x56"
"""The signature that sharpens the landmarks of one face."""

RETRAIN = "fetch the model and its manifest again together, or export both (facelatch-train finder export)"
"""The hint where model and manifest do not belong together."""


class FinderManifest(BaseModel):
    """The content of `models/finder.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    format: Literal[1]
    kind: Literal["finder"]
    model_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    signatures: list[str]
    """`find_WxH` for each input size, and the refining one."""
    score_threshold: float = Field(gt=0, lt=1)
    """The score at which one in ten validation pictures holds a false face."""
    data: str
    recipe_sha256: str
    commit: str
    created: str
    figures: dict[str, Any]
    """What `facelatch-train finder evaluate` measured with this very file."""


def load_finder_manifest(model: Path) -> FinderManifest:
    """The manifest of `model`, as `load_finder`, for whoever does not run it."""
    return load_finder(model)[0]


def load_finder(model: Path) -> tuple[FinderManifest, bytes]:
    """The manifest of `model` (`finder.tflite` -> `finder.json`), checked against the file, and the bytes checked.

    Raises ModelError: file missing, manifest missing or malformed, wrong hash, missing input size.
    """
    manifest, content = described(model, FinderManifest.model_validate_json, "a face finder's manifest", RETRAIN)
    for name in (signature_name(FULL), signature_name(SMALL), REFINE):
        if name not in manifest.signatures:
            raise ModelError(f"{model.with_suffix('.json')}: signature {name!r} is missing", hint=RETRAIN)
    return manifest, content


def signature_name(size: tuple[int, int]) -> str:
    """The name of the signature for an input size (width, height)."""
    return f"find_{size[0]}x{size[1]}"
