"""What several tests of training need: stand-ins for finders and networks, and drawn pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from facelatch.values.pictures import Box, Face, Image
from facelatch.vision.align import TEMPLATE
from facelatch_training.finder.recipe import Recipe, load_recipe

REPO = Path(__file__).resolve().parents[2]

NO_BOXES = np.zeros((0, 4), np.float32)
CROP_LABEL = np.concatenate([[18, 10, 76, 96], TEMPLATE.reshape(-1)]).astype(np.float32)
"""The finder's label of an aligned crop: box x, y, width, height, and the template's landmarks."""
DISC_COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [0, 255, 255]])
"""Of the landmarks in `crop_with_discs`, in the order of the template."""


def finder_recipe() -> Recipe:
    """The shipped recipe of the finder."""
    return load_recipe(REPO / "config" / "finder.toml")


def crop_with_discs(grey: int = 90) -> Image:
    """A plain grey crop with one pure-coloured disc on each landmark."""
    crop = np.full((112, 112, 3), grey, np.uint8)
    for point, colour in zip(TEMPLATE, DISC_COLOURS.tolist(), strict=True):
        cv2.circle(crop, (round(float(point[0])), round(float(point[1]))), 5, colour, -1)
    return crop


def ramp(height: int, width: int, channels: int = 3) -> Image:
    """A picture that is the same everywhere and for ever: smooth ramps, another one in each channel."""
    rows, columns, channel = np.meshgrid(*map(np.arange, (height, width, channels)), indexing="ij")
    return np.asarray((3 * rows + 2 * columns + 40 * channel) % 251, np.uint8)


def write_picture(path: Path, image: Image) -> None:
    """An RGB picture as a file of the kind that its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))


class ColourVerifier:
    """Knows people by their mean colour: the similarity falls with the L1 distance, by `steepness`."""

    model_sha256 = "0" * 64
    embedding_size = 3

    def __init__(self, steepness: float = 5.0) -> None:
        self._steepness = steepness
        self.embedded = 0
        """How many crops it has looked at."""

    def embed(self, crop: Image) -> np.ndarray:
        self.embedded += 1
        return np.float32(cv2.mean(np.ascontiguousarray(crop))[:3]) / 255  # a tenth of the time of crop.mean

    def compare(self, probe: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(-self._steepness * np.abs(gallery - probe).sum(axis=1)), np.float32)


class PatternVerifier:
    """A crop reduced to 8x8, about its mean: everybody drawn is somebody of their own."""

    model_sha256, embedding_size = "0" * 64, 192

    def embed(self, crop: Image) -> np.ndarray:
        small = cv2.resize(crop, (8, 8), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
        return np.asarray((small - small.mean() + 1e-3) / 100, np.float32)

    def compare(self, probe: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(-np.abs(gallery - probe).mean(axis=1) * 20), np.float32)


class FixedFaces:
    """A finder that finds the same faces in every picture that is not black."""

    def __init__(self, *faces: Face) -> None:
        self._faces = list(faces)

    def find(self, image: Image) -> list[Face]:
        return self._faces if image.max() > 4 else []


def straight_face() -> Face:
    """A face that looks straight ahead, in the middle of a picture of 640x480."""
    landmarks = (TEMPLATE * 1.5 + np.float32([230, 150])).astype(np.float32)
    return Face(Box(240, 160, 150, 170), landmarks, 0.9)
