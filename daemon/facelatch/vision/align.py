"""From a frame and five landmarks to the crop the model sees. Training and the daemon share this file."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

ALIGN_VERSION = 1
"""Raised whenever a crop of the same picture would differ. A model only fits crops of its own version."""

CROP_SIZE_PX = 112

TEMPLATE: NDArray[np.float32] = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    dtype=np.float32,
)
"""Where the landmarks (eyes, nose, mouth corners; image-left first) lie in the crop, x right, y down, px."""


_LONGEST_PX = 32000  # OpenCV's warp counts in 16 bits

_TARGET = [complex(x, y) for x, y in TEMPLATE.tolist()]
_MIDDLE = sum(_TARGET) / 5
_CENTRED = [point - _MIDDLE for point in _TARGET]


def similarity_transform(landmarks: NDArray[np.float32]) -> NDArray[np.float64] | None:
    """The least-squares rotation, scale and shift (2, 3) that takes `landmarks` (5, 2) onto the template.

    Umeyama's closed form without reflection, written for points as complex numbers. None when the
    points coincide or are not finite, because then no transform exists.
    """
    if landmarks.shape != (5, 2):
        return None
    # Plain numbers: for five points NumPy's calls would cost more than the work.
    source = [complex(x, y) for x, y in landmarks.tolist()]
    middle = sum(source) / 5
    centred = [point - middle for point in source]
    spread = sum(abs(point) ** 2 for point in centred)
    if not 1e-6 <= spread < math.inf:
        return None
    turn = sum(point.conjugate() * target for point, target in zip(centred, _CENTRED, strict=True)) / spread
    if not 1e-9 <= abs(turn) < math.inf:
        return None
    shift = _MIDDLE - turn * middle
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def align(image: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.uint8] | None:
    """The RGB crop (112, 112, 3) of an RGB image (H, W, 3); None when the landmarks allow no transform."""
    transform = similarity_transform(landmarks)
    return None if transform is None else cut(image, transform)


def cut(image: NDArray[np.uint8], transform: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The crop (112, 112, 3) to which `transform` (2, 3) takes an image (H, W, 3).

    What lies outside the image is black. When the face is larger than the crop the picture is first
    reduced by area so that fine texture does not alias.
    """
    scale = float(np.hypot(transform[0, 0], transform[1, 0]))
    if scale < 0.5 or max(image.shape[:2]) > _LONGEST_PX:
        image, transform = _reduced(image, transform, scale)
    crop = cv2.warpAffine(image, transform, (CROP_SIZE_PX, CROP_SIZE_PX), flags=cv2.INTER_LINEAR)
    return np.asarray(crop, dtype=np.uint8)


def halved(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A crop (H, W, 3) of even sides at half the size, each pixel the mean of four."""
    return np.asarray(cv2.resize(crop, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)


def _reduced(
    image: NDArray[np.uint8], transform: NDArray[np.float64], scale: float
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The region of the crop reduced by whole steps, and the transform that fits the reduced picture."""
    inverse = cv2.invertAffineTransform(transform)
    corners = np.array([[0, 0], [CROP_SIZE_PX, 0], [0, CROP_SIZE_PX], [CROP_SIZE_PX, CROP_SIZE_PX]])
    reach = corners @ inverse[:, :2].T + inverse[:, 2]
    left, top = np.maximum(np.floor(reach.min(axis=0)).astype(int) - 2, 0)
    right, bottom = np.minimum(np.ceil(reach.max(axis=0)).astype(int) + 2, image.shape[1::-1])
    step = max(1, int(1 / scale))
    width, height = (right - left) // step, (bottom - top) // step
    if width < 1 or height < 1:
        return image, transform
    region = image[top : top + height * step, left : left + width * step]
    small = cv2.resize(region, (width, height), interpolation=cv2.INTER_AREA)
    # A pixel centre x of the reduced picture lies at step * x + (step - 1) / 2 + left of the full one.
    centre = (step - 1) / 2
    moved = transform.copy()
    moved[:, 2] += transform[:, :2] @ np.array([left + centre, top + centre])
    moved[:, :2] *= step
    return np.asarray(small, dtype=np.uint8), moved
