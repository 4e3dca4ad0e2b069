"""Turning a picture by quarters, for cameras that do not hang upright."""

from __future__ import annotations

import cv2
import numpy as np

from facelatch.values.pictures import Image

QUARTERS = (0, 90, 180, 270)
"""Every turn there is, in degrees."""

_CODES = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


def turned(image: Image, degrees: int) -> Image:
    """`image` (H, W, 3) turned clockwise by one of QUARTERS; by 90 and 270 it becomes (W, H, 3)."""
    return image if degrees == 0 else np.asarray(cv2.rotate(image, _CODES[degrees]), dtype=np.uint8)
