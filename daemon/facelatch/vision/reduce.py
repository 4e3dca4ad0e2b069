"""The smaller picture in which the face is looked for: the same view, the same shape, fewer pixels."""

from __future__ import annotations

import cv2
import numpy as np

from facelatch.config.line import CameraConfig
from facelatch.values.pictures import Image


def search_size(width_px: int, height_px: int, config: CameraConfig) -> tuple[int, int]:
    """Width and height that fit the configured search size, keep the shape and never exceed the picture."""
    factor = min(config.search_width_px / width_px, config.search_height_px / height_px, 1.0)
    return max(1, round(width_px * factor)), max(1, round(height_px * factor))


def search_picture(image: Image, config: CameraConfig) -> Image:
    """`image` (H, W, 3) reduced by area to the search size; `image` itself when it is not larger."""
    height, width = image.shape[:2]
    size = search_size(width, height, config)
    if size == (width, height):
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
