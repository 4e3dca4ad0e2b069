"""Face finders behind one call, so that ours and its peers are measured by the same lines in the same run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from facelatch.adapters.models.finder_tflite import TfliteFinder
from facelatch_training.finder.data.faces import Image, Teacher
from facelatch_training.finder.data.labels import Labels

FindRows = Callable[[Image], Labels]
"""An RGB picture -> rows (K, 15): box x, y, width, height, landmarks (NaN when it has none), score."""

LOWEST_SCORE = 0.02
"""Finders report down to here, so that the trade between missed and false faces can be drawn."""


def ours(model: Path, score: float = LOWEST_SCORE) -> FindRows:
    """The exported file through the daemon's own adapter."""
    finder = TfliteFinder(model, score)

    def find(image: Image) -> Labels:
        rows = [
            [f.box.x, f.box.y, f.box.width, f.box.height, *f.landmarks.reshape(-1), f.score]
            for f in finder.find(image)
        ]
        return np.array(rows, np.float32).reshape(-1, 15)

    return find


def yunet(model: Path, score: float = LOWEST_SCORE) -> FindRows:
    """OpenCV's YuNet."""
    return Teacher(model, score=score).find


def cascade() -> FindRows:
    """OpenCV's frontal cascade; its score is the stage weight, it has no landmarks."""
    net = cv2.CascadeClassifier(
        str(Path(cv2.__file__).with_name("data") / "haarcascade_frontalface_default.xml")
    )

    def find(image: Image) -> Labels:
        grey = cv2.equalizeHist(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
        boxes, _, weights = net.detectMultiScale3(grey, 1.1, 2, minSize=(20, 20), outputRejectLevels=True)
        rows = np.full((len(boxes), 15), np.nan, np.float32)
        if len(boxes):
            rows[:, :4] = boxes
            rows[:, 14] = np.asarray(weights).reshape(-1)
        return rows[np.argsort(-rows[:, 14])]

    return find
