"""Sunglasses, masks, scarves and caps drawn onto faces, and crops as a finder cuts them from a turned picture."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from facelatch.values.pictures import Image
from facelatch.vision.align import CROP_SIZE_PX

COVERS: dict[str, tuple[str, ...]] = {
    "sunglasses": ("sunglasses",),
    "mask": ("mask",),
    "sunglasses and mask": ("sunglasses", "mask"),
    "scarf": ("scarf",),
    "cap": ("cap",),
}
"""What covers a face; the first three by the names of `vision.cohort.KINDS`."""

COVERINGS = ("sunglasses", "scarf", "mask", "cap")
"""What people come to a door in, one at a time."""

Transform = npt.NDArray[np.float64]
"""(2, 3), from the pixels of a crop to those of a picture."""

IN_CROP: Transform = np.eye(2, 3)

_SUNGLASSES = (
    ((24, 44), (53, 44), (52, 58), (46, 63), (33, 63), (25, 57)),
    ((59, 44), (88, 44), (87, 57), (79, 63), (66, 63), (60, 58)),
)
_FRAME = (((52, 48), (60, 48)), ((24, 47), (6, 49)), ((88, 47), (106, 49)))
_MASK = ((20, 66), (56, 60), (92, 66), (90, 92), (74, 110), (56, 114), (38, 110), (22, 92))
_FOLDS = (76, 86, 96)
_CLOTHS = ((235, 240, 245), (150, 200, 230), (30, 30, 35), (250, 250, 250))
_SUBPIXEL_BITS = 4
_FACE_MIDDLE = (56, 72)
_LEFT, _RIGHT = -10, 122
"""Where a scarf or a cap ends, px: beyond the crop."""


def covered(image: Image, kind: str, to_image: Transform, rng: np.random.Generator) -> Image:
    """A copy of `image` (H, W, 3) with what COVERS names drawn onto the face whose crop `to_image` takes there."""
    drawn = image.copy()
    for cover in COVERS[kind]:
        _DRAWN[cover](drawn, to_image, rng)
    return drawn


def turned_crop(crop: Image, rng: np.random.Generator) -> Image:
    """A crop whose face was turned by 90, 180 or 270 degrees when upright landmarks were put onto it."""
    angle = int(rng.choice([90, 180, 270])) + rng.normal(0, 6)
    matrix: Any = cv2.getRotationMatrix2D(_FACE_MIDDLE, float(angle), float(rng.uniform(0.85, 1.15)))
    matrix[:, 2] += rng.normal(0, 3, 2)
    size = (CROP_SIZE_PX, CROP_SIZE_PX)
    return np.asarray(cv2.warpAffine(crop, matrix, size, borderMode=cv2.BORDER_REFLECT), np.uint8)


def _sunglasses(image: Image, to_image: Transform, rng: np.random.Generator) -> None:
    colour, shift = [int(value) for value in rng.integers(5, 45, 3)], rng.normal(0, 1.2, 2)
    size = rng.uniform(0.95, 1.15)
    for lens in _SUNGLASSES:
        outline = np.array(lens, np.float64)
        middle = outline.mean(axis=0)
        _fill(image, (outline - middle) * size + middle + shift, to_image, colour)
    for bar in _FRAME:
        _stroke(image, np.array(bar, np.float64) + shift, to_image, colour, 3)


def _mask(image: Image, to_image: Transform, rng: np.random.Generator) -> None:
    cloth = np.array(_CLOTHS[int(rng.integers(len(_CLOTHS)))]) + rng.integers(-15, 6, 3)
    colour = [int(value) for value in np.clip(cloth, 0, 255)]
    _fill(image, np.array(_MASK, np.float64) + rng.normal(0, 1.2, 2), to_image, colour)
    for row in _FOLDS:
        fold = np.array([(28, row), (84, row)], np.float64)
        _stroke(image, fold, to_image, [int(value * 0.85) for value in colour], 1)


def _scarf(image: Image, to_image: Transform, rng: np.random.Generator) -> None:
    """Wool up to the lower lip or the tip of the nose, its edge uneven, with folds along it."""
    colour, top = rng.integers(20, 236, 3), rng.normal(77, 5)
    across = np.linspace(_LEFT, _RIGHT, 12)
    edge = top + rng.normal(0, 2, len(across))
    outline = np.concatenate([np.stack([across, edge], axis=1), [(_RIGHT, 150), (_LEFT, 150)]])
    _fill(image, outline, to_image, [int(value) for value in colour])
    for fold in np.arange(5.0, 40.0, rng.uniform(5, 10)):
        shade = [int(value) for value in colour * rng.uniform(0.7, 1.0)]
        lower = outline[: len(across)] + np.array([0, fold])
        for ends in pairwise(lower):
            _stroke(image, np.stack(ends), to_image, shade, 2)


def _cap(image: Image, to_image: Transform, rng: np.random.Generator) -> None:
    """A cap down to above the brows, its peak bent, and the line of shadow below it."""
    colour, low = rng.integers(5, 230, 3), rng.normal(28, 3)
    across = np.linspace(_LEFT, _RIGHT, 9)
    peak = np.stack([across, low + rng.normal(0, 5) * ((across - 56) / 56) ** 2], axis=1)
    _fill(image, np.concatenate([peak, [(_RIGHT, -40), (_LEFT, -40)]]), to_image, [int(value) for value in colour])
    for ends in pairwise(peak):
        _stroke(image, np.stack(ends), to_image, [int(value) for value in colour * 0.6], 3)


_DRAWN: dict[str, Callable[[Image, Transform, np.random.Generator], None]] = {
    "sunglasses": _sunglasses,
    "mask": _mask,
    "scarf": _scarf,
    "cap": _cap,
}


def _fill(image: Image, outline: Transform, to_image: Transform, colour: list[int]) -> None:
    cv2.fillPoly(image, [_placed(outline, to_image)], colour, cv2.LINE_AA, _SUBPIXEL_BITS)


def _stroke(image: Image, ends: Transform, to_image: Transform, colour: list[int], width: float) -> None:
    scale = float(np.sqrt(abs(np.linalg.det(to_image[:, :2]))))
    begin, end = _placed(ends, to_image).tolist()
    cv2.line(image, begin, end, colour, max(1, round(width * scale)), cv2.LINE_AA, _SUBPIXEL_BITS)


def _placed(points: Transform, to_image: Transform) -> npt.NDArray[np.int32]:
    moved = points @ to_image[:, :2].T + to_image[:, 2]
    return np.asarray(np.rint(moved * 2**_SUBPIXEL_BITS), np.int32)
