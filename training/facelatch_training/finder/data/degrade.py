"""Degradations of training pictures: bad light, cheap cameras, covered faces. Labels stay as they are."""

from __future__ import annotations

import cv2
import numpy as np

from facelatch_training.finder.data.faces import Image
from facelatch_training.finder.data.labels import Labels


def degrade(image: Image, rng: np.random.Generator) -> Image:
    """Mostly one to three, none to six, of: backlight, colour cast or grey, blur, darkness, noise, JPEG; in a
    camera's order.
    """
    steps = rng.random(6) < [0.15, 0.3, 0.3, 0.35, 0.4, 0.3]
    if steps[0]:
        image = _backlight(image, rng)
    if steps[1]:
        image = _grey(image) if rng.random() < 0.6 else _cast(image, rng)
    if steps[2]:
        image = _blur(image, rng)
    if steps[3]:
        image = _tone(image, rng)
    if steps[4]:
        image = _noise(image, rng)
    if steps[5]:
        image = _jpeg(image, rng)
    return image


def occlude(image: Image, faces: Labels, rng: np.random.Generator) -> Image:
    """A scarf, a hand, a cap or sunglasses: a plain or noisy patch over at most two fifths of each face."""
    image = image.copy()
    for x, y, w, h in faces[:, :4]:
        high = h * rng.uniform(0.12, 0.4)
        top = y + (h - high if rng.random() < 0.6 else rng.uniform(0.0, 0.35) * h)
        left, right = int(max(0, x - rng.uniform(0, 0.2) * w)), int(max(0, x + w * rng.uniform(0.8, 1.2)))
        patch = image[int(max(0, top)) : int(max(0, top + high)), left:right]
        patch[:] = np.clip(rng.integers(0, 256, 3) + rng.normal(0, 12, patch.shape), 0, 255).astype(np.uint8)
    return image


def _backlight(image: Image, rng: np.random.Generator) -> Image:
    """Backlight: one side of the picture is too bright, the rest too dark."""
    height, width = image.shape[:2]
    angle = rng.uniform(0, 2 * np.pi)
    ramp = (
        np.cos(angle) * np.linspace(-1, 1, width)[None] + np.sin(angle) * np.linspace(-1, 1, height)[:, None]
    )
    gain = (rng.uniform(0.25, 0.6) + rng.uniform(0.6, 1.6) * np.clip(ramp, 0, 1) ** 2).astype(np.float32)
    glare = (rng.uniform(0, 80) * np.clip(ramp, 0, 1)).astype(np.float32)
    return np.asarray(np.clip(image * gain[..., None] + glare[..., None], 0, 255), np.uint8)


def _grey(image: Image) -> Image:
    return np.asarray(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), np.uint8)


def _cast(image: Image, rng: np.random.Generator) -> Image:
    steps = np.arange(256)[:, None] * rng.uniform(0.7, 1.3, 3)
    table = np.clip(steps, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table[None]), np.uint8)


def _blur(image: Image, rng: np.random.Generator) -> Image:
    if rng.random() < 0.5:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 1.6)), np.uint8)
    length = int(rng.integers(3, 8))
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1 / length
    turn = cv2.getRotationMatrix2D((length / 2 - 0.5, length / 2 - 0.5), rng.uniform(0, 180), 1)
    kernel = cv2.warpAffine(kernel, turn, (length, length)).astype(np.float32)
    return np.asarray(cv2.filter2D(image, -1, kernel / max(float(kernel.sum()), 1e-3)), np.uint8)


def _tone(image: Image, rng: np.random.Generator) -> Image:
    """Gamma and exposure, mostly towards the dark."""
    gamma, gain = rng.uniform(0.8, 2.4), rng.uniform(0.25, 1.2)
    table = np.clip((np.arange(256) / 255) ** gamma * gain * 255, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table), np.uint8)


def _noise(image: Image, rng: np.random.Generator) -> Image:
    sigma = rng.uniform(2, 16)
    cv2.setRNGSeed(int(rng.integers(2**31)))
    noise = cv2.randn(np.empty(image.shape, np.int16), np.zeros(3), np.full(3, sigma))
    return np.asarray(np.clip(image.astype(np.int16) + noise, 0, 255), np.uint8)


def _jpeg(image: Image, rng: np.random.Generator) -> Image:
    coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 85))])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
