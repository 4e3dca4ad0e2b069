"""From the face finder's raw numbers to faces: cells, boxes, landmarks, and which of them are one face.

Training encodes with the same units, so this file says what an output number means.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facelatch.values import Box, Face

Floats = NDArray[np.float32]

STRIDES = (8, 16, 32)
"""Pixels per cell of the three levels, finest first."""

BASE_CELLS = 4.0
"""A box output of 0 means a side of this many strides."""

_MOST = 200  # candidates looked at: bounds the time a strange picture can take
_NESTED = 0.7  # of the smaller box: a face seen at two scales, not a face on a face
_LOG_LIMIT = 3.0  # boxes beyond 20 times the base size, either way, are nonsense


def cells(width: int, height: int) -> tuple[Floats, Floats]:
    """Centres (N, 2) px and strides (N, 1) of all cells of an input size, in the order of the outputs."""
    centres, strides = [], []
    for stride in STRIDES:
        rows, columns = -(-height // stride), -(-width // stride)
        grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
        centres.append((grid + 0.5) * stride)
        strides.append(np.full((len(grid), 1), stride))
    return np.concatenate(centres).astype(np.float32), np.concatenate(strides).astype(np.float32)


def decode(
    score: Floats, box: Floats, landmarks: Floats, grid: tuple[Floats, Floats], threshold: float
) -> Floats:
    """Candidates (K, 15): box x, y, width, height, five landmarks x, y and score, best first.

    `score` (N,) are logits; `box` (N, 4) is the centre's offset and the log of the sides; `landmarks`
    (N, 10) are offsets; both in strides from the cell's centre. Rows that are not finite are dropped.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        probability = 1 / (1 + np.exp(-score.astype(np.float64)))
        finite = np.isfinite(probability) & np.isfinite(box).all(axis=1) & np.isfinite(landmarks).all(axis=1)
    chosen = np.flatnonzero(finite & (probability >= threshold))
    chosen = chosen[np.argsort(-probability[chosen], kind="stable")][:_MOST]
    centres, strides = grid[0][chosen], grid[1][chosen]
    sides = BASE_CELLS * strides * np.exp(np.clip(box[chosen, 2:], -_LOG_LIMIT, _LOG_LIMIT))
    middle = centres + strides * np.clip(box[chosen, :2], -64, 64)
    points = np.tile(centres, 5) + strides * np.clip(landmarks[chosen], -64, 64)
    rows = [middle - sides / 2, sides, points, probability[chosen, None]]
    return np.asarray(np.concatenate(rows, axis=1), np.float32)


def merge(candidates: Floats, overlap: float = 0.4, blend: float = 0.6) -> Floats:
    """Non-maximum suppression of candidates (K, 15), best first: one row per face.

    A candidate that overlaps a better one by more than `overlap` (intersection over union), or that lies
    mostly inside it or about it, is the same face. Those that agree closely (over `blend`) are averaged,
    weighted by score: neighbouring cells make independent errors, so their mean is a better box and has
    better landmarks than the best cell's.
    """
    rows = []
    rest = candidates
    while len(rest):
        shared, inside = _overlap(rest[0], rest)
        shared[0] = 1.0  # also for an empty box
        close = rest[shared > blend]
        merged = np.average(close, axis=0, weights=close[:, 14] + 1e-6)
        merged[14] = rest[0, 14]
        rows.append(merged)
        rest = rest[(shared <= overlap) & (inside <= _NESTED)]
    return np.array(rows, np.float32).reshape(-1, 15)


def to_faces(rows: Floats, scale: tuple[float, float], offset: tuple[float, float]) -> Sequence[Face]:
    """Faces in the caller's pixels: input pixels times `scale` (x, y) plus `offset` (x, y)."""
    found = []
    for row in rows.astype(np.float64):
        x, y = row[0] * scale[0] + offset[0], row[1] * scale[1] + offset[1]
        points = row[4:14].reshape(5, 2) * scale + offset
        box = Box(float(x), float(y), float(row[2] * scale[0]), float(row[3] * scale[1]))
        found.append(Face(box, points.astype(np.float32), float(row[14])))
    return found


def _overlap(one: Floats, many: Floats) -> tuple[Floats, Floats]:
    """Intersection over union, and over the smaller box, of one box with many."""
    low = np.maximum(one[:2], many[:, :2])
    high = np.minimum(one[:2] + one[2:4], many[:, :2] + many[:, 2:4])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    total = one[2] * one[3] + many[:, 2] * many[:, 3] - shared
    smaller = np.minimum(one[2] * one[3], many[:, 2] * many[:, 3])
    return (
        np.asarray(shared / np.maximum(total, 1e-9), np.float32),
        np.asarray(shared / np.maximum(smaller, 1e-9), np.float32),
    )
