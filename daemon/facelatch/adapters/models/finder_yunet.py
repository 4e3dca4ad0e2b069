"""YuNet as face finder, through OpenCV; the user brings the model file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facelatch.errors import ModelError
from facelatch.values.pictures import Box, Face, Image
from facelatch.vision.letterbox import Letterbox, input_size, letterbox

_LARGEST_SIDE_PX = 640
"""A larger picture is reduced first: YuNet knows faces up to 300 px, and its time grows with the area."""

_SMALLEST_SIDE_PX = 64
"""Two of the network's coarsest steps; a smaller picture is enlarged. With one, a picture longer than wide is answered
from memory OpenCV never wrote (seen in 4.11: finds in plain grey)."""


class YuNetFinder:
    """The FaceFinder port on `cv2.FaceDetectorYN`."""

    def __init__(self, model: Path, score_threshold: float = 0.6) -> None:
        """Finds below `score_threshold` are dropped. Raises ModelError: `model` missing, or not YuNet."""
        if not model.is_file():
            raise ModelError(
                f"{model}: no such file",
                hint="finder.model must name a YuNet file: face_detection_yunet_*.onnx of the OpenCV zoo",
            )
        try:
            self._detector = cv2.FaceDetectorYN.create(
                str(model), "", (_SMALLEST_SIDE_PX, _SMALLEST_SIDE_PX), score_threshold, 0.3, 200
            )
            self._detector.detect(np.zeros((_SMALLEST_SIDE_PX, _SMALLEST_SIDE_PX, 3), dtype=np.uint8))
        except cv2.error as error:
            raise ModelError(
                f"{model}: not a YuNet model that OpenCV {cv2.__version__} can run",
                hint="download the file again, or take the YuNet of another year",
            ) from error

    def find(self, image: Image) -> Sequence[Face]:
        """All faces, best score first; coordinates in pixels of `image`."""
        height, width = image.shape[:2]
        return self.find_near(image, Box(0, 0, width, height))

    def find_near(self, image: Image, region: Box) -> Sequence[Face]:
        """The same in one part of `image`; the whole picture when the region lies outside."""
        boxed = letterbox(image, input_size(image, region, _LARGEST_SIDE_PX, _SMALLEST_SIDE_PX), region)
        height, width = boxed.image.shape[:2]
        self._detector.setInputSize((width, height))
        _, rows = self._detector.detect(cv2.cvtColor(boxed.image, cv2.COLOR_RGB2BGR))
        if rows is None:  # the stubs do not know
            return []  # type: ignore[unreachable]
        whole = rows[np.isfinite(rows).all(axis=1) & _lies_inside(rows, width, height)]
        return sorted((_face(row, boxed) for row in whole), key=lambda face: face.score, reverse=True)


def _lies_inside(rows: NDArray[Any], width: int, height: int) -> NDArray[np.bool_]:
    """Which boxes have a size and touch the picture: on odd shapes YuNet may answer from memory it never wrote."""
    x, y, wide, high = rows[:, :4].T
    has_size = (wide > 0) & (high > 0) & (wide <= 2 * width) & (high <= 2 * height)
    return np.asarray(has_size & (x < width) & (y < height) & (x + wide > 0) & (y + high > 0), dtype=bool)


def _face(row: NDArray[np.float32], boxed: Letterbox) -> Face:
    """YuNet's row: box, then the person's right eye first, which is image-left, as here; then the score."""
    scale, offset = np.array(boxed.scale), np.array(boxed.offset)
    corner, size = row[:2] * scale + offset, row[2:4] * scale
    box = Box(float(corner[0]), float(corner[1]), float(size[0]), float(size[1]))
    landmarks = row[4:14].reshape(5, 2) * scale + offset
    return Face(box, landmarks.astype(np.float32), float(row[14]))
