"""OpenCV's frontal cascade as face finder: comes with the wheel, no model file, frontal faces only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from facelatch.errors import ModelError
from facelatch.values.pictures import Box, Face, Image
from facelatch.vision.letterbox import input_size, letterbox

_FILE = "haarcascade_frontalface_alt2.xml"

_LARGEST_SIDE_PX = 640
"""A larger picture is reduced first: the cascade's time grows with the area."""

_SMALLEST_FACE_PX = 24

_LANDMARKS = np.array(
    [[0.304, 0.387], [0.691, 0.383], [0.499, 0.613], [0.339, 0.780], [0.672, 0.777]], dtype=np.float32
)
"""Where the landmarks lie in the cascade's square, as shares of its side: the median over 777 faces. The
cascade does not see landmarks; these are off by a tenth of the eye distance in the median, and OpenCV's eye
cascades made them worse, not better."""

_HALF_SURE_NEIGHBOURS = 4
"""Overlapping windows behind a find that make a score of 0.5; 6 make 0.6. From there on it found 76 % of the
635 faces in 600 photos of people, and 6 faces too many in 600 pictures of doors and rooms."""


class CascadeFinder:
    """The FaceFinder port on `cv2.CascadeClassifier`."""

    def __init__(self, score_threshold: float = 0.6) -> None:
        """Finds below `score_threshold` are dropped. Raises ModelError when this OpenCV has no cascades."""
        hint = "OpenCV 5 dropped them: install opencv-python-headless below 5, or set another finder.kind"
        try:
            path = Path(cv2.data.haarcascades) / _FILE  # type: ignore[attr-defined]  # not in the stubs
            self._cascade = cv2.CascadeClassifier(str(path))
        except (AttributeError, cv2.error) as error:
            raise ModelError(f"OpenCV {cv2.__version__} has no cascade classifier", hint=hint) from error
        if self._cascade.empty():
            raise ModelError(f"{path}: no such cascade", hint=hint)
        self._score_threshold = score_threshold

    def find(self, image: Image) -> Sequence[Face]:
        """All frontal faces, best score first; coordinates in pixels of `image`. Landmarks are estimated."""
        height, width = image.shape[:2]
        return self.find_near(image, Box(0, 0, width, height))

    def find_near(self, image: Image, region: Box) -> Sequence[Face]:
        """The same in one part of `image`; the whole picture when the region lies outside."""
        boxed = letterbox(image, input_size(image, region, _LARGEST_SIDE_PX, _SMALLEST_FACE_PX), region)
        boxes, neighbours = self._cascade.detectMultiScale2(
            cv2.equalizeHist(cv2.cvtColor(boxed.image, cv2.COLOR_RGB2GRAY)),
            scaleFactor=1.15,
            minNeighbors=2,
            minSize=(_SMALLEST_FACE_PX, _SMALLEST_FACE_PX),
        )
        scale, offset = np.array(boxed.scale), np.array(boxed.offset)
        faces = []
        for (x, y, width, height), count in zip(boxes, np.ravel(neighbours), strict=True):
            size = np.array([width, height]) * scale
            corner = np.array([x, y]) * scale + offset
            score = float(count / (count + _HALF_SURE_NEIGHBOURS))
            if score >= self._score_threshold:
                box = Box(float(corner[0]), float(corner[1]), float(size[0]), float(size[1]))
                faces.append(Face(box, (_LANDMARKS * size + corner).astype(np.float32), score))
        return sorted(faces, key=lambda face: face.score, reverse=True)
