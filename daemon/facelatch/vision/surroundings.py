"""Whether what is around a face moves with it, as the rest of a picture in a hand does, or stays, as a room does.

The amount of motion says nothing about life: pictures are waved and people sit still. So two explanations of the same
two frames compete, and what is compared is how well each explains the surroundings: that they stayed where they were,
or that they moved as the face did. Where the face hardly moved both explain the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facelatch.values.pictures import Image

GRID = 96
"""Points on a side of the square about the face at which the frames are compared."""
_INNER, _OUTER = 1.5, 2.7
"""The ring that counts as surroundings, in halves of the face's side; nothing below the mouth: shoulders are there."""
_BELOW = 0.6
_HALF = 1.25
"""Half a face's side, in ways from the eyes to the mouth or between the eyes, whichever is longer."""
_LEAST_POINTS, _MOST_DIFFERENCE = 200, 30.0
LEAST_MOTION, MOST_MOTION = 0.06, 1.0
"""By how much the face has to have moved, in the same unit, for the explanations to differ; beyond that it jumped."""


@dataclass(frozen=True, slots=True)
class Explanations:
    """What each of the two leaves unexplained of the surroundings, grey levels 0 to 30."""

    stayed: float
    moved: float
    detail: float
    """How much the surroundings differ from themselves that far away: what there is to explain, noise included."""


def compare(
    before: Image, landmarks: NDArray[np.float32], after: Image, moved: NDArray[np.float32]
) -> Explanations | None:
    """Two frames (H, W, 3) and the landmarks (5, 2) of the face in each, px. None where the face hardly moved, or where
    too little of its surroundings is in view."""
    old, new = landmarks.astype(np.float64), moved.astype(np.float64)
    unit = max(_length(old[1] - old[0]), _length((old[3:].sum(axis=0) - old[:2].sum(axis=0)) / 2))
    if not (np.isfinite(old).all() and np.isfinite(new).all() and 1.0 < unit < max(before.shape)):
        return None
    steps = np.linspace(-_OUTER, _OUTER, GRID)
    across, down = np.meshgrid(steps, steps)
    x, y = across * unit * _HALF + old[[0, 1, 3, 4], 0].mean(), down * unit * _HALF + old[[0, 1, 3, 4], 1].mean()
    motion = _similarity(old, new)
    there = np.stack([x, y, np.ones_like(x)], axis=-1) @ motion.T
    counts = (np.maximum(np.abs(across), np.abs(down)) > _INNER) & (down < _BELOW)
    counts &= _inside(x, y, before) & _inside(there[..., 0], there[..., 1], after)
    if int(counts.sum()) < _LEAST_POINTS:
        return None
    way = float(np.median(np.hypot(there[..., 0] - x, there[..., 1] - y)[counts])) / unit
    if not LEAST_MOTION <= way <= MOST_MOTION:
        return None
    blur = max(0.7 * 2 * _OUTER * _HALF * unit / GRID, 0.8)
    first, second = _grey(before, blur), _grey(after, blur)
    was, here, away = _sampled(first, x, y), _sampled(second, x, y), _sampled(second, there[..., 0], there[..., 1])
    return Explanations(
        stayed=_difference(was, here, counts),
        moved=_difference(was, away, counts),
        detail=_difference(here, away, counts),
    )


def _similarity(old: NDArray[np.float64], new: NDArray[np.float64]) -> NDArray[np.float64]:
    """The shift, turn and scale (2, 3) that moves the landmarks best."""
    from_middle, to_middle = old.mean(axis=0), new.mean(axis=0)
    one, two = old - from_middle, new - to_middle
    size = float((one**2).sum())
    along = float((one * two).sum()) / size
    across = float((one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]).sum()) / size
    turn = np.array([[along, -across], [across, along]])
    return np.column_stack([turn, to_middle - turn @ from_middle])


def _grey(image: Image, blur: float) -> cv2.typing.MatLike:
    return cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (0, 0), blur)


def _sampled(grey: cv2.typing.MatLike, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float32]:
    picked = cv2.remap(grey, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)
    return np.asarray(picked, np.float32)


def _difference(one: NDArray[np.float32], two: NDArray[np.float32], counts: NDArray[np.bool_]) -> float:
    return float(np.minimum(np.abs(one - two)[counts], _MOST_DIFFERENCE).mean())


def _inside(x: NDArray[np.float64], y: NDArray[np.float64], image: Image) -> NDArray[np.bool_]:
    high, wide = image.shape[:2]
    return np.asarray((x > 1) & (x < wide - 2) & (y > 1) & (y < high - 2))


def _length(way: NDArray[np.float64]) -> float:
    return float(np.hypot(*way))
