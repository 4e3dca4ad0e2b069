"""The house's own face finder: an int8 TFLite file that finds faces at two input sizes and sharpens their landmarks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from facelatch.adapters.models.tflite import load_runtime
from facelatch.errors import ModelError
from facelatch.values.pictures import Box, Face, Image
from facelatch.vision.finder_decode import Floats, agreed, cells, decode, merge, mirrored, moved, to_faces
from facelatch.vision.finder_manifest import (
    FULL,
    REFINE,
    RETRAIN,
    SMALL,
    load_finder,
    signature_name,
)
from facelatch.vision.finder_refine import refine
from facelatch.vision.letterbox import letterbox

_NEAR_PX, _CLOSE_PX = 56.0, 72.0

_MOST_LOOKED_AT = 4  # in a crowd the rest keeps its first score and landmarks

_SURE = 0.7  # a score from which a find needs no further look

_OUTPUTS = {"score", "box", "landmarks"}


class TfliteFinder:
    """Port `FaceFinder`. Accepts any (H, W, 3) uint8 picture and never raises for one."""

    def __init__(self, model: Path, score_threshold: float, *, threads: int = 1) -> None:
        """Raises ModelError when the model, its manifest or the TFLite runtime cannot be used."""
        self.manifest, content = load_finder(model)
        self._threshold = score_threshold
        try:
            interpreter = load_runtime()[0].Interpreter(model_content=content, num_threads=threads)
            self._runners = {
                size: interpreter.get_signature_runner(signature_name(size)) for size in (FULL, SMALL)
            }
            self._refiner = interpreter.get_signature_runner(REFINE)
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"{model}: cannot be loaded: {error}", hint=RETRAIN) from error
        for size, runner in self._runners.items():
            missing = _OUTPUTS - set(runner.get_output_details())
            if missing:
                raise ModelError(
                    f"{model}: {signature_name(size)} lacks {', '.join(sorted(missing))}", hint=RETRAIN
                )
        if "landmarks" not in self._refiner.get_output_details():
            raise ModelError(f"{model}: {REFINE} lacks landmarks", hint=RETRAIN)
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
