"""Augmentation: what light, cameras and distance at a door do to a face; seeded, on the fly, in training only.

Most samples stay mild (flip, a slightly wrong alignment, a little light); the rest meet one or two of the troubles
below. All functions take and return RGB uint8 (112, 112, 3), `augment_and_tell` a verdict beside it, and draw only
from their generator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from facelatch.vision.align import TEMPLATE
from facelatch_training.data.covers import COVERINGS, IN_CROP, covered, turned_crop
from facelatch_training.data.crops import CROP_SIZE, CropArray
from facelatch_training.recipe import AugmentRecipe

Rng = np.random.Generator
LEVELS = np.arange(256, dtype=np.float32)
EYE_DISTANCE = float(TEMPLATE[1, 0] - TEMPLATE[0, 0])
CENTRE = CROP_SIZE / 2


def augment(crop: CropArray, rng: Rng, recipe: AugmentRecipe) -> CropArray:
    """One training sample: alignment error, light, and for a share of the samples one or two of TROUBLES."""
    return augment_and_tell(crop, rng, recipe)[0]


def augment_and_tell(crop: CropArray, rng: Rng, recipe: AugmentRecipe) -> tuple[CropArray, bool]:
    """One training sample, and whether it is spoilt: by a covering, one of TROUBLES or lost colour."""
    dressed = recipe.covered > 0 and rng.random() < recipe.covered
    if dressed:
        crop = covered(crop, str(rng.choice(COVERINGS)), IN_CROP, rng)
    crop = misalign(crop, rng, recipe)
    if rng.random() < recipe.flip:
        crop = np.asarray(cv2.flip(crop, 1), np.uint8)
    crop = relight(crop, rng, spread=0.15)
    troubled = rng.random() >= recipe.mild
    if troubled:
        for number in rng.choice(len(TROUBLES), size=1 + int(rng.random() < 0.4), replace=False):
            crop = TROUBLES[number](crop, rng)
    greyed = rng.random() < recipe.grey
    if greyed:
        crop = grey(crop, rng)
    return crop, dressed or troubled or greyed


def unreadable(crop: CropArray, rng: Rng) -> CropArray:
    """A crop from which nobody can be told: turned on its side or upside down, of one colour, noise, coarse blotches,
    sunglasses and mask at once, or a face cut into sixteen and shuffled.
    """
    kind = int(rng.integers(6))
    if kind == 0:
        return turned_crop(crop, rng)
    if kind == 1:
        return covered(crop, "sunglasses and mask", IN_CROP, rng)
    if kind == 2:
        quarter = CROP_SIZE // 4
        pieces = crop.reshape(4, quarter, 4, quarter, 3).swapaxes(1, 2).reshape(16, quarter, quarter, 3)
        shuffled = pieces[rng.permutation(16)].reshape(4, 4, quarter, quarter, 3)
        return np.ascontiguousarray(shuffled.swapaxes(1, 2).reshape(CROP_SIZE, CROP_SIZE, 3))
    if kind == 3:
        return np.full_like(crop, rng.integers(0, 256, 3))
    if kind == 4:
        noise = rng.normal(rng.uniform(20, 230), rng.uniform(10, 80), crop.shape)
        return np.asarray(np.clip(noise, 0, 255), np.uint8)
    size = int(rng.integers(2, 12))
    blotches = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(blotches, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_CUBIC), np.uint8)


def misalign(crop: CropArray, rng: Rng, recipe: AugmentRecipe) -> CropArray:
    """Rotation, scale and shift as a face finder's landmark errors cause them, now and then much larger
    ones.
    """
    size = recipe.jitter * (recipe.wild_factor if rng.random() < recipe.wild else 1.0)
    turn, grow = rng.normal(0, 0.9 * size, 2)
    shift = rng.normal(0, size * EYE_DISTANCE, 2)
    warp = cv2.getRotationMatrix2D((CENTRE, CENTRE), float(np.degrees(turn)), float(np.exp(grow)))
    warp[:, 2] = warp[:, 2] + shift
    border = cv2.BORDER_REPLICATE if rng.random() < 0.5 else cv2.BORDER_CONSTANT
    return np.asarray(cv2.warpAffine(crop, warp, (CROP_SIZE, CROP_SIZE), borderMode=border), np.uint8)


def relight(crop: CropArray, rng: Rng, spread: float = 0.4) -> CropArray:
    """Contrast, brightness and gamma through one table."""
    contrast, gamma = np.exp(rng.normal(0, spread, 2))
    curve = 255 * (LEVELS / 255) ** gamma
    curve = (curve - 128) * contrast + 128 + rng.normal(0, 80 * spread)
    return _through(crop, curve)


def dark_porch(crop: CropArray, rng: Rng) -> CropArray:
    """Few photons, then gain: a dim picture with the noise of a small sensor."""
    photons = float(np.exp(rng.uniform(np.log(20), np.log(250))))
    dim = crop.astype(np.float32) * np.float32(np.exp(rng.uniform(np.log(0.2), 0)))
    noise = rng.standard_normal(crop.shape, dtype=np.float32)
    if rng.random() < 0.5:  # demosaicing and video compression smear the noise over neighbours
        noise = cv2.GaussianBlur(noise, (3, 3), 0.8) * np.float32(1.8)
    dim += noise * np.sqrt(dim * np.float32(255 / photons) + np.float32(rng.uniform(0, 25)))
    gain = rng.uniform(1.0, max(1.0, min(4.0, 110 / max(float(dim.mean()), 1.0))))
    return np.asarray(np.clip(dim * np.float32(gain), 0, 255), np.uint8)


def motion_blur(crop: CropArray, rng: Rng) -> CropArray:
    """A straight smear of 3 to 13 pixels."""
    length, angle = int(rng.integers(3, 14)), float(rng.uniform(0, np.pi))
    kernel = np.zeros((15, 15), np.float32)
    reach = np.array([np.cos(angle), np.sin(angle)]) * (length - 1) / 2
    start, end = np.rint(7 - reach).astype(int), np.rint(7 + reach).astype(int)
    cv2.line(kernel, (int(start[0]), int(start[1])), (int(end[0]), int(end[1])), (1.0,), 1, cv2.LINE_AA)
    return np.asarray(cv2.filter2D(crop, -1, kernel / kernel.sum()), np.uint8)


def defocus(crop: CropArray, rng: Rng) -> CropArray:
    """A soft lens."""
    return np.asarray(cv2.GaussianBlur(crop, (0, 0), float(rng.uniform(0.7, 3.0))), np.uint8)


def far_away(crop: CropArray, rng: Rng) -> CropArray:
    """A face of 30 to 80 pixels, enlarged."""
    small = int(np.exp(rng.uniform(np.log(30), np.log(80))))
    shrink = cv2.INTER_AREA if rng.random() < 0.7 else cv2.INTER_LINEAR
    enlarge = (cv2.INTER_LINEAR, cv2.INTER_CUBIC)[int(rng.integers(2))]
    reduced = cv2.resize(crop, (small, small), interpolation=shrink)
    return np.asarray(cv2.resize(reduced, (CROP_SIZE, CROP_SIZE), interpolation=enlarge), np.uint8)


def compress(crop: CropArray, rng: Rng) -> CropArray:
    """JPEG of quality 12 to 70."""
    # In OpenCV's order of channels: JPEG spares red and green and spends its errors on blue.
    bgr = cv2.cvtColor(crop, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(12, 71))])
    return np.asarray(cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)


def colour_cast(crop: CropArray, rng: Rng) -> CropArray:
    """Sodium lamps, blue dusk, a wrong white balance."""
    gains = np.exp(rng.normal(0, 0.25, 3)).astype(np.float32)
    return np.asarray(np.clip(crop * gains, 0, 255), np.uint8)


def side_light(crop: CropArray, rng: Rng) -> CropArray:
    """One side of the face in shadow."""
    angle, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0.4, 0.9)
    rows, columns = np.mgrid[-1 : 1 : CROP_SIZE * 1j, -1 : 1 : CROP_SIZE * 1j].astype(np.float32)
    slope = (columns * np.cos(angle) + rows * np.sin(angle)).astype(np.float32) * np.float32(
        rng.uniform(0.8, 3)
    )
    shade = 1 - np.float32(depth) / (1 + np.exp(-slope))
    return np.asarray(np.clip(crop * shade[..., None] * np.float32(1.2), 0, 255), np.uint8)


def cover(crop: CropArray, rng: Rng) -> CropArray:
    """A mask, a cap, sunglasses or a block of one colour over part of the face."""
    crop = crop.copy()
    colour = (
        [int(value) for value in rng.integers(0, 256, 3)]
        if rng.random() < 0.6
        else [int(rng.integers(0, 80))] * 3
    )
    shift = rng.normal(0, 3, 2)
    kind = int(rng.integers(4))
    if kind == 0:  # mask: from the bridge of the nose downwards
        top = 66 + shift[1]
        shape = [[8, top + 4], [56, top - 6], [104, top + 4], [100, 104], [56, 116], [12, 104]]
        cv2.fillPoly(crop, [np.rint(np.array(shape)).astype(np.int32)], colour)
    elif kind == 1:  # cap
        crop[: int(rng.uniform(14, 36))] = colour
    elif kind == 2:  # sunglasses
        for x, y in TEMPLATE[:2]:
            centre = (round(float(x + shift[0])), round(float(y + shift[1])))
            cv2.ellipse(
                crop, centre, (int(rng.integers(11, 17)), int(rng.integers(8, 14))), 0, 0, 360, colour, -1
            )
        row = round(float(TEMPLATE[0, 1] + shift[1]))
        cv2.line(crop, (20, row - 3), (92, row - 3), colour, 2)
    else:  # a hand, a scarf, a door frame
        width, height = (int(value) for value in rng.integers(18, 52, 2))
        x, y = int(rng.integers(0, CROP_SIZE - width)), int(rng.integers(0, CROP_SIZE - height))
        crop[y : y + height, x : x + width] = colour
    return crop


def grey(crop: CropArray, rng: Rng) -> CropArray:
    """Full grey from a random mix of the channels, as an infrared camera gives it."""
    mix = rng.dirichlet((2, 2, 2)).astype(np.float32)
    one = np.asarray(np.clip(crop @ mix, 0, 255), np.uint8)
    return np.repeat(one[..., None], 3, axis=2)


def _through(crop: CropArray, curve: npt.NDArray[np.floating[Any]]) -> CropArray:
    return np.asarray(cv2.LUT(crop, np.clip(curve, 0, 255).astype(np.uint8)), np.uint8)


TROUBLES: tuple[Callable[[CropArray, Rng], CropArray], ...] = (
    relight,
    dark_porch,
    motion_blur,
    defocus,
    far_away,
    compress,
    colour_cast,
    side_light,
    cover,
)
