"""From the face finder's raw numbers to faces: cells, boxes, landmarks, and which of them are one face.

Training encodes with the same units, so this file says what an output number means.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facelatch.values.pictures import Box, Face

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
    share = min(max(threshold, 1e-6), 1 - 1e-6)
    with np.errstate(invalid="ignore"):
        chosen = np.flatnonzero(score >= np.log(share / (1 - share)))
    finite = np.isfinite(score[chosen]) & np.isfinite(box[chosen]).all(axis=1)
    chosen = chosen[finite & np.isfinite(landmarks[chosen]).all(axis=1)]
    chosen = chosen[np.argsort(-score[chosen], kind="stable")][:_MOST]
    probability = 1 / (1 + np.exp(-np.clip(score[chosen], -80, 80).astype(np.float64)))
    centres, strides = grid[0][chosen], grid[1][chosen]
    sides = BASE_CELLS * strides * np.exp(np.clip(box[chosen, 2:], -_LOG_LIMIT, _LOG_LIMIT))
    middle = centres + strides * np.clip(box[chosen, :2], -64, 64)
    points = np.tile(centres, 5) + strides * np.clip(landmarks[chosen], -64, 64)
    rows = [middle - sides / 2, sides, points, probability[:, None]]
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
        weights = close[:, 14] + np.float32(1e-6)
        merged = weights @ close / weights.sum()
        merged[14] = rest[0, 14]
        rows.append(merged)
        rest = rest[(shared <= overlap) & (inside <= _NESTED)]
    return np.array(rows, np.float32).reshape(-1, 15)


def moved(rows: Floats, scale: tuple[float, float], offset: tuple[float, float]) -> Floats:
    """Rows (K, 15) in the caller's pixels: input pixels times `scale` (x, y) plus `offset` (x, y)."""
    out = rows.copy()
    out[:, 2:4] = rows[:, 2:4] * scale
    out[:, :2] = rows[:, :2] * scale + offset
    out[:, 4:14] = rows[:, 4:14] * (scale * 5) + offset * 5
    return out


def mirrored(rows: Floats, width: int) -> Floats:
    """Rows (K, 15) found in a picture flipped left to right, in the picture as it was; left stays image-left."""
    out = rows.copy()
    out[:, 0] = width - rows[:, 0] - rows[:, 2]
    points = rows[:, 4:14].reshape(-1, 5, 2)[:, [1, 0, 2, 4, 3]].copy()
    points[..., 0] = width - 1 - points[..., 0]
    out[:, 4:14] = points.reshape(-1, 10)
    return out


def agreed(row: Floats, looks: Sequence[Floats], overlap: float = 0.3) -> Floats:
    """One row (15,) from a first find and the rows (K, 15) of further looks at the same place.

    Box and landmarks are the mean over the looks that saw the face again. The score is the mean over all,
    a look that saw nothing counting zero: what one look alone imagined seldom survives. It is never above the
    first score: a further look doubts, it does not discover.
    """
    seen, scores = [row[:14]], [row[14]]
    for rows in looks:
        shared = _overlap(row, rows)[0]
        best = int(shared.argmax()) if len(rows) else -1
        again = best >= 0 and shared[best] > overlap
        scores.append(rows[best, 14] if again else np.float32(0))
        if again:
            seen.append(rows[best, :14])
    return np.append(np.mean(seen, axis=0), min(row[14], np.mean(scores))).astype(np.float32)


def to_faces(rows: Floats) -> list[Face]:
    """Faces from rows (K, 15)."""
    found = []
    for row in rows:
        x, y, width, height = (float(number) for number in row[:4])
        points = row[4:14].reshape(5, 2).astype(np.float32)
        found.append(Face(Box(x, y, width, height), points, float(row[14])))
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
