"""The house's own face finder: an int8 TFLite file that finds faces at two input sizes and sharpens their landmarks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from facelatch.adapters.models.tflite import load_runtime
from facelatch.errors import ModelError
from facelatch.values.pictures import Box, Face, Image
from facelatch.vision.finder_decode import Floats, agreed, cells, decode, merge, mirrored, moved, to_faces
from facelatch.vision.finder_refine import refine
from facelatch.vision.letterbox import letterbox
from facelatch.vision.manifest import check_hash

FULL, SMALL = (320, 240), (160, 120)
"""Input sizes (width, height) px: of a whole picture, and of the region about a face that is followed."""

REFINE = "refine_56x56"
"""The signature that sharpens the landmarks of one face."""

_NEAR_PX, _CLOSE_PX = 56.0, 72.0
_MOST_LOOKED_AT = 4  # in a crowd the rest keeps its first score and landmarks
_SURE = 0.7  # a score from which a find needs no further look
_OUTPUTS = {"score", "box", "landmarks"}
_RETRAIN = "fetch the model and its manifest again together, or export both (facelatch-train finder export)"


class FinderManifest(BaseModel):
    """`models/finder.json`."""

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
    """The manifest of `model` (`finder.tflite` -> `finder.json`), checked against the file.

    Raises ModelError: file missing, manifest missing or malformed, wrong hash, missing input size.
    """
    path = model.with_suffix(".json")
    for needed in (model, path):
        if not needed.is_file():
            raise ModelError(f"{needed}: no such file", hint=_RETRAIN)
    try:
        manifest = FinderManifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ModelError(f"{path}: not a face finder's manifest ({faults})", hint=_RETRAIN) from error
    check_hash(model, manifest.model_sha256)
    for name in (signature_name(FULL), signature_name(SMALL), REFINE):
        if name not in manifest.signatures:
            raise ModelError(f"{path}: signature {name!r} is missing", hint=_RETRAIN)
    return manifest


def signature_name(size: tuple[int, int]) -> str:
    """The name of the signature for an input size (width, height)."""
    return f"find_{size[0]}x{size[1]}"


class TfliteFinder:
    """Port `FaceFinder`. Accepts any (H, W, 3) uint8 picture and never raises for one."""

    def __init__(self, model: Path, score_threshold: float, *, threads: int = 1) -> None:
        """Raises ModelError when the model, its manifest or the TFLite runtime cannot be used."""
        self.manifest = load_finder_manifest(model)
        self._threshold = score_threshold
        try:
            interpreter = load_runtime()[0].Interpreter(str(model), num_threads=threads)
            self._runners = {
                size: interpreter.get_signature_runner(signature_name(size)) for size in (FULL, SMALL)
            }
            self._refiner = interpreter.get_signature_runner(REFINE)
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"{model}: cannot be loaded: {error}", hint=_RETRAIN) from error
        for size, runner in self._runners.items():
            missing = _OUTPUTS - set(runner.get_output_details())
            if missing:
                raise ModelError(
                    f"{model}: {signature_name(size)} lacks {', '.join(sorted(missing))}", hint=_RETRAIN
                )
        if "landmarks" not in self._refiner.get_output_details():
            raise ModelError(f"{model}: {REFINE} lacks landmarks", hint=_RETRAIN)
        self._grids = {size: cells(*size) for size in self._runners}

    def find(self, image: Image) -> Sequence[Face]:
        """All faces, best score first; coordinates in pixels of `image`."""
        if not _is_picture(image):
            return ()
        rows = self._look(image, FULL, None, self._threshold)
        return self._looked_again(image, rows, ((_NEAR_PX, False), (_CLOSE_PX, True)))

    def find_near(self, image: Image, region: Box) -> Sequence[Face]:
        """The faces in one part of `image`, at a fraction of the cost; coordinates in pixels of `image`."""
        if not _is_picture(image):
            return ()
        rows = self._look(image, SMALL, region, self._threshold)
        return self._looked_again(image, rows, ((_CLOSE_PX, True),))

    def _looked_again(
        self, image: Image, rows: Floats, looks: Sequence[tuple[float, bool]]
    ) -> Sequence[Face]:
        """Doubtful finds checked by looks at the small size in which the face has a chosen side, px; best sharpened.

        The network errs differently at another scale and in the mirror; the mean errs less.
        """
        for number in np.flatnonzero(rows[:_MOST_LOOKED_AT, 14] < _SURE):
            row = rows[number]
            rows[number] = agreed(
                row,
                [
                    self._look(image, SMALL, _about(row, side), self._threshold, mirror=mirror)
                    for side, mirror in looks
                ],
            )
        rows = rows[rows[:, 14] >= self._threshold]
        rows = merge(rows[np.argsort(-rows[:, 14], kind="stable")])
        for row in rows[:_MOST_LOOKED_AT]:
            row[4:14] = refine(image, row[4:14].reshape(5, 2), self._landmarks).reshape(-1)
        return to_faces(rows)

    def _landmarks(self, crop: Image) -> Floats:
        return np.asarray(self._refiner(image=crop[np.newaxis])["landmarks"], np.float32)

    def _look(
        self,
        image: Image,
        size: tuple[int, int],
        region: Box | None,
        threshold: float,
        *,
        mirror: bool = False,
    ) -> Floats:
        """One pass of the network over a part of the picture; rows (K, 15) in pixels of `image`."""
        boxed = letterbox(image, size, region)
        pixels = np.ascontiguousarray(boxed.image[:, ::-1]) if mirror else boxed.image
        raw = self._runners[size](image=pixels[np.newaxis])
        rows = merge(
            decode(
                raw["score"].reshape(-1),
                raw["box"].reshape(-1, 4),
                raw["landmarks"].reshape(-1, 10),
                self._grids[size],
                threshold,
            )
        )
        if mirror:
            rows = mirrored(rows, size[0])
        return moved(rows, boxed.scale, boxed.offset)


def _is_picture(image: Image) -> bool:
    return image.ndim == 3 and image.shape[2] == 3 and image.size > 0


def _about(row: Floats, side: float) -> Box:
    """The 4:3 region about a find in which its face gets a side of `side` px at the small size."""
    height = SMALL[1] * float(np.sqrt(row[2] * row[3])) / side
    width = height * SMALL[0] / SMALL[1]
    x, y = float(row[0] + row[2] / 2), float(row[1] + row[3] / 2)
    return Box(x - width / 2, y - height / 2, width, height)
