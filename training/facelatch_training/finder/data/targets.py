"""Training targets of the finder: which cells hold a face, and the box and landmarks there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facelatch.vision.finder_decode import BASE_CELLS, cells
from facelatch_training.finder.data.labels import Labels

WIDTH = 17
"""Numbers per cell: flag (1 face, 0 none, -1 unasked), weight, stride / side, box (4), landmarks (10)."""

SIDES: dict[int, tuple[float, float]] = {8: (0, 48), 16: (36, 104), 32: (80, 1e9)}
"""Per stride, the faces it answers for: the geometric mean of the box's sides, px. Neighbours overlap."""


def targets(faces: Labels, ignore: Labels, size: tuple[int, int], smallest_px: float) -> NDArray[np.float32]:
    """(cells, WIDTH) for a picture of `size` (width, height) with labels (K, 14) and boxes to ignore (M, 4).

    Only cells near a face's centre answer for it; cells about them are not asked, since a face seen
    from the next cell is not a mistake. Smaller faces claim shared cells.
    """
    centres, strides = cells(*size)
    stride = strides[:, 0]
    table = np.zeros((len(stride), WIDTH), np.float32)
    for box in ignore:
        table[_near(centres, box, 0.5, np.zeros_like(stride)), 0] = -1
    sides = np.sqrt(faces[:, 2] * faces[:, 3])
    for index in np.argsort(-sides):
        face, side = faces[index], float(sides[index])
        if side < smallest_px:
            table[_near(centres, face[:4], 0.5, np.zeros_like(stride)), 0] = -1
            continue
        low, high = (np.array([SIDES[int(s)][end] for s in (8, 16, 32)]) for end in (0, 1))
        level = np.searchsorted([8, 16, 32], stride)
        responsible = (side >= low[level]) & (side < high[level])
        nearly = (side >= low[level] / 1.5) & (side < high[level] * 1.5)
        table[nearly & _near(centres, face[:4], 0.3, 0.6 * stride) & (table[:, 0] == 0), 0] = -1
        hit = responsible & _near(centres, face[:4], 0.18, 0.6 * stride)
        table[hit] = _encoded(face, side, centres[hit], strides[hit])
    return table


def _near(centres: Labels, box: Labels, share: float, least: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Cells whose centre is within `share` of the sides (at least `least` px) of the box's centre."""
    distance = np.abs(centres - (box[:2] + box[2:4] / 2))
    return np.asarray((distance <= np.maximum(share * box[2:4], least[:, None])).all(axis=1))


def _encoded(face: Labels, side: float, centres: Labels, strides: Labels) -> Labels:
    count = len(centres)
    offset = (face[:2] + face[2:4] / 2 - centres) / strides
    logs = np.log(np.maximum(face[2:4], 1.0) / (BASE_CELLS * strides))
    points = (np.tile(face[4:14], (count, 1)) - np.tile(centres, 5)) / strides
    one = np.ones((count, 1), np.float32)
    return np.concatenate([one, one / max(count, 1), strides / side, offset, logs, points], axis=1)
