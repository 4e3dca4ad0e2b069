"""The camera that sees what is rendered, living faces and attacks alike, so that the camera tells nothing."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from facelatch.values.pictures import Box, Image


def seen_by_camera(image: Image, rng: np.random.Generator, strength: float = 1.0) -> Image:
    """RGB (H, W, 3) through a drawn lens, light, sensor, sharpening and JPEG; `strength` 0 to 1."""
    values: Any = image.astype(np.float32)
    if rng.random() < 0.7 * strength:
        values = cv2.GaussianBlur(values, (0, 0), rng.uniform(0.3, 1.0 + strength))
    if rng.random() < 0.25 * strength:
        values = _moved(values, rng)
    gains = rng.normal(1, 0.06 * strength, 3) * rng.uniform(1 - 0.35 * strength, 1 + 0.25 * strength)
    values = values * gains.astype(np.float32)
    values = 255 * cv2.pow(np.clip(values / 255, 0, 1), rng.uniform(1 - 0.25 * strength, 1 + 0.25 * strength))
    noise = rng.gamma(1.5, 2.2) * strength
    values = values + rng.standard_normal(values.shape, np.float32) * np.float32(noise)
    if rng.random() < 0.5 * strength:
        values = values + rng.uniform(0.2, 1.0) * (values - cv2.GaussianBlur(values, (0, 0), 1.0))
    seen = np.asarray(np.clip(values, 0, 255), np.uint8)
    if rng.random() < 0.7:
        quality = int(rng.integers(45, 97))
        _, data = cv2.imencode(".jpg", seen, [cv2.IMWRITE_JPEG_QUALITY, quality])
        seen = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    if rng.random() < 0.08:
        seen = np.repeat(seen.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    return np.asarray(seen, np.uint8)


def _moved(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # type: ignore[type-arg]
    """Smeared along a line, as by a hand that moves."""
    length = int(rng.integers(2, 6))
    kernel = np.zeros((length * 2 + 1, length * 2 + 1), np.float32)
    angle = rng.uniform(0, np.pi)
    end = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    first, last = (tuple(round(float(one)) for one in length + sign * end) for sign in (-1, 1))
    cv2.line(kernel, first, last, (1.0,))
    return np.asarray(cv2.filter2D(values, -1, kernel / kernel.sum()), np.float32)


def resized(
    image: Image, box: Box, rng: np.random.Generator, sides: tuple[float, float]
) -> tuple[Image, Box]:
    """The picture and the box of its face, which is made as large as drawn between `sides` px."""
    wanted = np.exp(rng.uniform(*np.log(sides)))
    factor = float(wanted / np.sqrt(box.width * box.height))
    high, wide = image.shape[:2]
    factor = min(factor, 640 / max(high, wide))
    size = max(8, round(wide * factor)), max(8, round(high * factor))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    scaled = np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)
    across, down = size[0] / wide, size[1] / high
    return scaled, Box(box.x * across, box.y * down, box.width * across, box.height * down)
