"""Landmarks sharpened on the aligned crop: what the refining network is shown, and how its answer is read.

A face upright, centred and at a known size is a far easier question than a face anywhere in a picture.
Training cuts its crops with the same functions.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from facelatch.values.pictures import Image
from facelatch.vision.align import CROP_SIZE_PX, TEMPLATE, cut, halved, similarity_transform

Floats = NDArray[np.float32]

INPUT_PX = CROP_SIZE_PX // 2
"""Side of the network's input: the aligned crop at half size."""

UNIT_PX = 8.0
"""A landmark output of 1 means this many pixels of the crop away from the template."""

_MIRRORED = [1, 0, 2, 4, 3]  # landmark order after a left-right flip
_DISAGREE = 0.06  # of the eye distance
_FARTHEST = 4.0  # units: no landmark of a face lies farther from the template


def refine(image: Image, landmarks: Floats, answer: Callable[[Image], Floats]) -> Floats:
    """Better landmarks (5, 2) in pixels of `image` from rough ones.

    `answer` takes a picture (56, 56, 3) and gives ten numbers. It is asked twice, the second time about the
    mirrored crop that the first answer aligns: errors in the mirror differ, and the mean of both errs less. Where
    they disagree it is asked a third time, which takes the first one's place.
    Landmarks that cannot be aligned stay as they are, and so do those an answer would tear away from the face.
    """
    first = _looked(image, landmarks, answer, mirror=False)
    second = None if first is None else _looked(image, first, answer, mirror=True)
    if first is None or second is None:
        return landmarks
    if _disagree(first, second):
        third = _looked(image, second, answer, mirror=False)
        first = second if third is None else third
    better = np.asarray((first + second) / 2, np.float32)
    return landmarks if _torn_away(better, landmarks) else better


def points_of(output: Floats) -> Floats:
    """The network's ten numbers as landmarks (5, 2) in pixels of the crop."""
    return np.asarray(TEMPLATE + UNIT_PX * output.reshape(5, 2).clip(-_FARTHEST, _FARTHEST), np.float32)


def mirrored_points(points: Floats, width: int = CROP_SIZE_PX) -> Floats:
    """Landmarks (..., 5, 2) of a picture flipped left to right; left stays image-left."""
    out = points[..., _MIRRORED, :].copy()
    out[..., 0] = width - 1 - out[..., 0]
    return out


def _disagree(one: Floats, other: Floats) -> bool:
    eyes = np.square(other[1] - other[0]).sum()
    return bool(np.square(one - other).sum() / 5 > _DISAGREE**2 * eyes)


def _torn_away(points: Floats, landmarks: Floats) -> bool:
    """Whether a landmark moved farther than the landmarks lie from their middle: that is another place, not sharper."""
    spread = np.square(landmarks - landmarks.mean(axis=0)).sum() / 5
    moved = np.square(points - landmarks).sum(axis=1).max()
    return not bool(moved <= spread)  # also where a number is none


def _looked(
    image: Image, landmarks: Floats, answer: Callable[[Image], Floats], *, mirror: bool
) -> Floats | None:
    transform = similarity_transform(landmarks)
    if transform is None:
        return None
    crop = cut(image, transform)
    small = halved(crop)
    points = points_of(answer(np.ascontiguousarray(small[:, ::-1]) if mirror else small))
    points = mirrored_points(points) if mirror else points
    # The way back, as in `similarity_transform`: points are complex numbers, the transform a factor and a shift.
    turn, shift = complex(transform[0, 0], transform[1, 0]), complex(transform[0, 2], transform[1, 2])
    back = [(complex(x, y) - shift) / turn for x, y in points.tolist()]
    return np.array([(point.real, point.imag) for point in back], np.float32)
