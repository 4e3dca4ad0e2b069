"""How far the nose stands beside the plane of eyes and mouth: what a turn changes, and a tilted picture does not."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from facelatch.vision.align import TEMPLATE

_PLANE, _NOSE = [0, 1, 3, 4], 2
_MOST = 4.0
"""Beyond that many half eye distances the landmarks are those of no face."""


def nose_parallax(landmarks: NDArray[np.float32]) -> float | None:
    """The nose's sideways offset from where it is in a straight face, in half eye distances, to image right positive.

    `landmarks` (5, 2) px: eyes, nose, mouth corners, image left first. Eyes and mouth corners lie nearly in a plane;
    the homography that moves them to a straight face's takes away all that moving, tilting or approaching a flat
    picture does, perspective included. The nose stands out of that plane, and what is left is its parallax: constant
    for a picture, about 0.8 times the tangent of the angle for a head. None where no homography exists.
    """
    points = landmarks.astype(np.float64)
    if not np.isfinite(points).all():
        return None
    centre = points[_PLANE].mean(axis=0)
    size = float(np.abs(points[_PLANE] - centre).max())
    if not 1e-6 < size < 1e6 or not _is_convex(points[_PLANE]):
        return None
    moved = ((points - centre) / size).astype(np.float32)
    matrix = cv2.getPerspectiveTransform(moved[_PLANE], _STRAIGHT[_PLANE])
    across, _, weight = matrix @ np.array([*moved[_NOSE], 1.0])
    if not weight > 1e-6:
        return None
    offset = float(across / weight - _STRAIGHT[_NOSE, 0])
    return offset if abs(offset) <= _MOST else None


def _is_convex(corners: NDArray[np.float64]) -> bool:
    """Whether eyes and mouth corners, in this order, span a quadrilateral that is not folded or turned over."""
    ring = corners[[0, 1, 3, 2]]
    sides = np.roll(ring, -1, axis=0) - ring
    after = np.roll(sides, -1, axis=0)
    turns = sides[:, 0] * after[:, 1] - sides[:, 1] * after[:, 0]
    return bool((turns > 1e-3 * float(np.abs(sides).max()) ** 2).all())


def _straight() -> NDArray[np.float32]:
    """The template's landmarks (5, 2) with the middle of the eyes as origin and half their distance as unit."""
    middle, half = (TEMPLATE[0] + TEMPLATE[1]) / 2, (TEMPLATE[1] - TEMPLATE[0]) / 2
    return np.asarray((TEMPLATE - middle) / np.hypot(*half), np.float32)


_STRAIGHT = _straight()
