"""Harder copies of validation crops, to see where a model fails: dark, blurred, small, half hidden.

Each slice spoils the probe and leaves the reference as it is, because people are enrolled in good light.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from facelatch.values.pictures import Image
from facelatch.vision.align import CROP_SIZE_PX
from facelatch.vision.quality import pose
from facelatch_training.data.cropping import Finder, subject

Spoil = Callable[[Image, np.random.Generator], Image]

TURNED_YAW = 0.35
"""From where on a head counts as turned: the nose has gone a good third of the way from the middle to under an eye."""


def darkened(crop: Image, rng: np.random.Generator) -> Image:
    """A dim porch: an eighth of the light, read and shot noise, then the camera's gain."""
    light = crop.astype(np.float32) / 255 * 0.12
    shot = light + rng.normal(0, 1, light.shape) * np.sqrt(light / 400 + 0.01**2)
    return _pixels(shot * 4 * 255)


def blurred(crop: Image, rng: np.random.Generator) -> Image:
    """Movement of 7 px in a random direction."""
    kernel = np.zeros((9, 9), np.float32)
    cv2.line(kernel, *_stroke(rng.uniform(0, np.pi)), (1.0,))
    return _pixels(cv2.filter2D(crop.astype(np.float32), -1, kernel / kernel.sum()))


def small(crop: Image, _rng: np.random.Generator) -> Image:
    """A face about 30 px wide: reduced to 40 px and enlarged again."""
    size = 40
    reduced = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
    return _pixels(cv2.resize(reduced, (CROP_SIZE_PX, CROP_SIZE_PX), interpolation=cv2.INTER_LINEAR))


def half_hidden(crop: Image, rng: np.random.Generator) -> Image:
    """The lower half covered in one colour, as by a scarf or a mask."""
    covered = crop.copy()
    covered[66:] = rng.integers(20, 236, 3)
    return covered


def grey(crop: Image, _rng: np.random.Generator) -> Image:
    """No colour, as from an infrared camera."""
    return _pixels(np.repeat(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2))


def shifted(crop: Image, rng: np.random.Generator) -> Image:
    """Landmarks of a weaker finder: shift of 3 px, 5 degrees, 5 % in size (standard deviations)."""
    turn, size = rng.normal(0, 5), 1 + rng.normal(0, 0.05)
    matrix: Any = cv2.getRotationMatrix2D((56, 60), float(turn), float(size))
    matrix[:, 2] += rng.normal(0, 3, 2)
    moved = cv2.warpAffine(crop, matrix, (CROP_SIZE_PX, CROP_SIZE_PX), borderMode=cv2.BORDER_REPLICATE)
    return _pixels(moved)


SLICES: dict[str, Spoil] = {
    "dark": darkened,
    "blur": blurred,
    "small": small,
    "half-face": half_hidden,
    "grey": grey,
    "misaligned": shifted,
}


def is_turned(crop: Image, finder: Finder) -> bool:
    """Whether the head in a crop (112, 112, 3) is turned to a side; where no face is found in it, nobody can tell."""
    return yaw_in(crop, finder) >= TURNED_YAW


def yaw_in(crop: Image, finder: Finder) -> float:
    """How far the head in a crop (112, 112, 3) is turned, without sign; 0 where no face is found in it."""
    margin = CROP_SIZE_PX // 2  # a finder wants something around a face
    framed = _pixels(cv2.copyMakeBorder(crop, margin, margin, margin, margin, cv2.BORDER_REPLICATE))
    face = subject(finder.find(framed), framed)
    return 0.0 if face is None else abs(pose(face.landmarks).yaw)


def frame_noise(crop: Image, rng: np.random.Generator) -> Image:
    """The same moment a few frames on: a little movement, light and sensor noise."""
    turn, size = rng.normal(0, 2), 1 + rng.normal(0, 0.02)
    matrix: Any = cv2.getRotationMatrix2D((56, 60), float(turn), float(size))
    matrix[:, 2] += rng.normal(0, 1.2, 2)
    moved = cv2.warpAffine(crop, matrix, (CROP_SIZE_PX, CROP_SIZE_PX), borderMode=cv2.BORDER_REPLICATE)
    light = moved.astype(np.float32) * rng.uniform(0.9, 1.1)
    return _pixels(light + rng.normal(0, 3, light.shape))


def _stroke(angle: float) -> tuple[tuple[int, int], tuple[int, int]]:
    across, down = round(3 * float(np.cos(angle))), round(3 * float(np.sin(angle)))
    return (4 - across, 4 - down), (4 + across, 4 + down)


def _pixels(values: Any) -> Image:
    return np.asarray(np.clip(np.rint(np.asarray(values, np.float32)), 0, 255), np.uint8)
