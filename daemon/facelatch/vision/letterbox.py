"""Fitting a picture of any size into a network's fixed input. Shared by the daemon and the training."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from facelatch.values.pictures import Box, Image

_MOST_ENLARGED = 4.0
_LONGEST_PX = 16384  # OpenCV's resize counts columns in 16 bits in places


class Letterbox(NamedTuple):
    """The input picture, and how its pixels lie in the original: original = input * scale + offset."""

    image: Image
    scale: tuple[float, float]
    offset: tuple[float, float]


def letterbox(image: Image, size: tuple[int, int], region: Box | None = None) -> Letterbox:
    """`image` (H, W, 3), or its part in `region`, scaled into `size` (width, height) px, the rest black.

    Keeps the aspect, sits in the top left corner, is reduced by area and enlarged at most four times.
    A region that lies outside the picture falls back to the whole picture. Works for any H, W >= 1.
    """
    left, top, right, bottom = _inside(image, region)
    part = image[top:bottom, left:right]
    step = -(-max(part.shape[:2]) // _LONGEST_PX)
    part = part[::step, ::step]
    height, width = part.shape[:2]
    factor = min(size[0] / width, size[1] / height, _MOST_ENLARGED)
    new = max(1, min(size[0], round(width * factor))), max(1, min(size[1], round(height * factor)))
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    canvas[: new[1], : new[0]] = (
        part if new == (width, height) else cv2.resize(part, new, interpolation=method)
    )
    scale = (right - left) / new[0], (bottom - top) / new[1]
    # Input pixel x covers the original from scale * x - 1/2 on; its centre lies scale / 2 further.
    return Letterbox(canvas, scale, (left + scale[0] / 2 - 0.5, top + scale[1] / 2 - 0.5))


def _inside(image: Image, region: Box | None) -> tuple[int, int, int, int]:
    height, width = image.shape[:2]
    if region is None or not np.isfinite([region.x, region.y, region.width, region.height]).all():
        return 0, 0, width, height
    # Cut before rounding: the sum of two finite numbers may be infinite.
    left, right = np.clip([region.x, region.x + region.width], 0, width)
    top, bottom = np.clip([region.y, region.y + region.height], 0, height)
    left, top = int(np.floor(left)), int(np.floor(top))
    right, bottom = int(np.ceil(right)), int(np.ceil(bottom))
    return (left, top, right, bottom) if right > left and bottom > top else (0, 0, width, height)


def input_size(image: Image, region: Box | None, largest_px: int, smallest_px: int) -> tuple[int, int]:
    """The size (width, height) for a finder without a fixed input: as it is, its longer side at most
    `largest_px`, both at least `smallest_px`."""
    left, top, right, bottom = _inside(image, region)
    factor = min(1.0, largest_px / max(right - left, bottom - top))
    return max(smallest_px, round((right - left) * factor)), max(smallest_px, round((bottom - top) * factor))
