"""The geometry of labels.

A label is a row of 14 numbers: box x, y, width, height and five landmarks x, y, px, image-left first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.float32]

_MIRRORED = [1, 0, 2, 4, 3]  # landmark order after a left-right flip


def move(faces: Labels, matrix: NDArray[np.float64]) -> Labels:
    """Labels under a similarity (2, 3); boxes stay upright and keep their size times the scale."""
    if not len(faces):
        return np.zeros((0, 14), np.float32)
    points = faces[:, 4:].reshape(-1, 5, 2) @ matrix[:, :2].T + matrix[:, 2]
    boxes = move_boxes(faces[:, :4], matrix)
    return np.asarray(np.concatenate([boxes, points.reshape(-1, 10)], axis=1), np.float32)


def move_boxes(boxes: Labels, matrix: NDArray[np.float64]) -> Labels:
    """Boxes (N, 4) under a similarity: the centre moves, the sides scale.

    A turned box is taken a little more square, as a detector's upright boxes of turned faces are.
    """
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    centres = (boxes[:, :2] + boxes[:, 2:] / 2) @ matrix[:, :2].T + matrix[:, 2]
    turn = min(1.0, abs(float(matrix[1, 0])) / scale)
    mean = boxes[:, 2:].mean(axis=1, keepdims=True)
    sides = scale * ((1 - turn) * boxes[:, 2:] + turn * mean)
    return np.asarray(np.concatenate([centres - sides / 2, sides], axis=1), np.float32)


def mirror(rows: Labels, width: int) -> Labels:
    """Labels (K, 14) or boxes (K, 4) of the picture flipped left to right: left stays image-left."""
    out = rows.copy()
    out[:, 0] = width - rows[:, 0] - rows[:, 2]
    if rows.shape[1] > 4:
        points = rows[:, 4:].reshape(-1, 5, 2)[:, _MIRRORED].copy()
        points[..., 0] = width - 1 - points[..., 0]
        out[:, 4:] = points.reshape(-1, 10)
    return out


def visible_share(boxes: Labels, width: float, height: float) -> NDArray[np.float32]:
    """Share of each box's area that lies inside the picture."""
    low = np.maximum(boxes[:, :2], 0)
    high = np.minimum(boxes[:, :2] + boxes[:, 2:4], [width, height])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    return np.asarray(shared / np.maximum(np.prod(boxes[:, 2:4], axis=1), 1e-6), np.float32)


def iou(first: Labels, second: Labels) -> NDArray[np.float32]:
    """Intersection over union (N, M) of boxes x, y, width, height."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum((first[:, :2] + first[:, 2:4])[:, None], (second[:, :2] + second[:, 2:4])[None])
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    areas = np.prod(first[:, 2:4], axis=1)[:, None] + np.prod(second[:, 2:4], axis=1)[None]
    return np.asarray(shared / np.maximum(areas - shared, 1e-6), np.float32)


def plausible(face: Labels) -> bool:
    """Whether the landmarks lie as a face's do: apart, and mostly inside the box."""
    x, y, width, height = face[:4]
    points = face[4:14].reshape(5, 2)
    inside = (
        (points[:, 0] > x - 0.15 * width)
        & (points[:, 0] < x + 1.15 * width)
        & (points[:, 1] > y - 0.15 * height)
        & (points[:, 1] < y + 1.15 * height)
    )
    across = points[1] - points[0]
    down = points[3:].mean(axis=0) - points[:2].mean(axis=0)
    upright = across[0] * down[1] - across[1] * down[0] > 0  # not mirrored
    return bool(inside.all() and upright and np.hypot(*down) > 0.15 * height)
