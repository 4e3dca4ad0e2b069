"""Made attacks: a photograph of somebody as a print or on a screen, held before a room, as physics would have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facelatch.values.pictures import Box, Image

Floats = NDArray[np.float32]
CANVAS_PX = 224
"""Side of the scene that is rendered."""


@dataclass(frozen=True, slots=True)
class Presentation:
    """A rendered attack."""

    image: Image
    box: Box
    """Of the face shown."""
    kind: str
    """`print` or `screen`."""


@dataclass(frozen=True, slots=True)
class _Sheet:
    """What is held before the camera: its colours (H, W, 3), what of it is there (H, W, 1), the face's box."""

    colours: Floats
    there: Floats
    box: Box


def present(photograph: Image, box: Box, room: Image, rng: np.random.Generator) -> Presentation:
    """`photograph`, in which a face has `box`, shown to a camera in the `room` in a way drawn by `rng`."""
    picture, inner = _cut(photograph, box, rng)
    kind = "screen" if rng.random() < 0.5 else "print"
    sheet = _screen(picture, inner, rng) if kind == "screen" else _print(picture, inner, rng)
    scene: Any = cv2.resize(room, (CANVAS_PX, CANVAS_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    matrix = _placed(sheet, rng)
    size = (CANVAS_PX, CANVAS_PX)
    colours = cv2.warpPerspective(sheet.colours, matrix, size, flags=cv2.INTER_AREA)
    there = np.asarray(cv2.warpPerspective(sheet.there, matrix, size)[..., None], np.float32)
    scene = scene * (1 - _shadow(there, rng)) if rng.random() < 0.5 else scene
    scene = colours * there + scene * (1 - there)
    if rng.random() < 0.4:
        scene = _fingers(scene, sheet, matrix, rng)
    if kind == "screen":
        scene = _raster(scene, there, rng)
    return Presentation(np.clip(scene, 0, 255).astype(np.uint8), _moved_box(sheet.box, matrix), kind)


def _cut(photograph: Image, box: Box, rng: np.random.Generator) -> tuple[Image, Box]:
    """The part of the photograph that is shown, 160 px wide."""
    high, wide = photograph.shape[:2]
    left, right, up, down = rng.uniform(0.15, 1.8, 4) * np.array(
        [box.width, box.width, box.height, box.height]
    )
    x, y = max(0, int(box.x - left)), max(0, int(box.y - up))
    end_x, end_y = min(wide, int(box.x + box.width + right)), min(high, int(box.y + box.height + down))
    part: Any = photograph[y:end_y, x:end_x]
    factor = 160 / part.shape[1]
    part = cv2.resize(part, (160, max(20, round(part.shape[0] * factor))), interpolation=cv2.INTER_AREA)
    return np.asarray(part, np.uint8), Box(
        (box.x - x) * factor, (box.y - y) * factor, box.width * factor, box.height * factor
    )


def _print(picture: Image, box: Box, rng: np.random.Generator) -> _Sheet:
    values = picture.astype(np.float32)
    grey = values.mean(axis=2, keepdims=True)
    values = grey + (values - grey) * rng.uniform(0.35, 1.05)
    paper = np.array([1, rng.uniform(0.95, 1.0), rng.uniform(0.86, 1.02)]) * rng.uniform(190, 250)
    black = rng.uniform(12, 55)
    values = black + values / 255 * (paper - black).astype(np.float32)
    dots = rng.standard_normal(values.shape[:2], np.float32)[..., None]
    if rng.random() < 0.5:
        dots = _grating(values.shape[0], values.shape[1], rng.uniform(2.1, 4.5), rng) * np.float32(1.4)
    values = values + dots * rng.uniform(0, 9)
    if rng.random() < 0.2:
        rows = np.arange(values.shape[0])[:, None, None]
        values = values * (1 - rng.uniform(0.02, 0.12) * (np.sin(rows / rng.uniform(2, 9)) > 0.7))
    there = np.ones((*values.shape[:2], 1), np.float32)
    if rng.random() < 0.15:
        there = _cut_out(there, box, rng)
    elif rng.random() < 0.6:
        margin = int(rng.integers(3, 30))
        values = cv2.copyMakeBorder(
            values, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=paper.tolist()
        )
        there = np.ones((*values.shape[:2], 1), np.float32)
        box = Box(box.x + margin, box.y + margin, box.width, box.height)
    return _Sheet(_lit(_bent(values.astype(np.float32), rng), rng, gloss=rng.random() < 0.4), there, box)


def _cut_out(there: Floats, box: Box, rng: np.random.Generator) -> Floats:
    """Paper only where the head is, as a mask that is held before the face."""
    head = np.zeros_like(there)
    centre = (int(box.x + box.width / 2), int(box.y + box.height / 2))
    axes = (int(box.width * rng.uniform(0.55, 0.75)), int(box.height * rng.uniform(0.6, 0.85)))
    cv2.ellipse(head, centre, axes, 0, 0, 360, (1.0,), -1)
    return head


def _bent(values: Floats, rng: np.random.Generator) -> Floats:
    """Paper that curls and has been folded: pixels shift, and the slope makes light and shade."""
    high, wide = values.shape[:2]
    columns, rows = np.meshgrid(np.arange(wide, dtype=np.float32), np.arange(high, dtype=np.float32))
    angle, period = rng.uniform(0, np.pi), rng.uniform(0.7, 3) * max(high, wide)
    along = columns * np.float32(np.cos(angle)) + rows * np.float32(np.sin(angle))
    wave = np.sin(2 * np.pi * along / period + rng.uniform(0, 6)).astype(np.float32)
    depth = np.float32(rng.uniform(0, 7))
    bent = cv2.remap(
        values, columns + wave * depth, rows + wave * depth, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    bent = bent * (1 + np.float32(rng.uniform(0, 0.14)) * wave[..., None])
    if rng.random() < 0.25:
        fold = np.exp(-(((along - rng.uniform(0, along.max())) / rng.uniform(0.8, 2.5)) ** 2))[..., None]
        bent = bent * (1 + rng.uniform(-0.3, 0.3) * fold)
    return np.asarray(bent, np.float32)


def _lit(values: Floats, rng: np.random.Generator, *, gloss: bool) -> Floats:
    """Light that falls from one side, and a lamp's reflection on what is glossy."""
    high, wide = values.shape[:2]
    rows, columns = np.mgrid[:high, :wide].astype(np.float32)
    slope = 1 + rng.uniform(-0.3, 0.3) * (columns / wide - 0.5) + rng.uniform(-0.3, 0.3) * (rows / high - 0.5)
    values = values * slope[..., None]
    if gloss:
        spread = rng.uniform(0.06, 0.4, 2) * (wide, high)
        spot = np.exp(
            -(((columns - rng.uniform(0, wide)) / spread[0]) ** 2)
            - ((rows - rng.uniform(0, high)) / spread[1]) ** 2
        )
        values = values + rng.uniform(20, 170) * spot[..., None]
    return np.asarray(values, np.float32)


def _screen(picture: Image, box: Box, rng: np.random.Generator) -> _Sheet:
    values = 255 * (picture.astype(np.float32) / 255) ** rng.uniform(0.8, 1.4)
    grey = values.mean(axis=2, keepdims=True)
    values = grey + (values - grey) * rng.uniform(0.8, 1.4)
    tint = np.array([rng.uniform(0.82, 1.05), 1, rng.uniform(0.95, 1.25)], np.float32)
    values = (values + rng.uniform(0, 22)) * tint * rng.uniform(0.7, 1.3)
    if rng.random() < 0.35:
        rows = np.arange(values.shape[0], dtype=np.float32)[:, None, None]
        band = np.sin(2 * np.pi * rows / (values.shape[0] * rng.uniform(0.4, 1.6)) + rng.uniform(0, 6))
        values = values * (1 + rng.uniform(0.04, 0.25) * band)
    if rng.random() < 0.6:
        top, bottom, left, right = (int(one) for one in rng.integers(2, 40, 4))
        colour = [float(rng.uniform(0, 40) if rng.random() < 0.8 else rng.uniform(180, 240))] * 3
        values = cv2.copyMakeBorder(values, top, bottom, left, right, cv2.BORDER_CONSTANT, value=colour)
        box = Box(box.x + left, box.y + top, box.width, box.height)
    values = _lit(values.astype(np.float32), rng, gloss=rng.random() < 0.5)
    return _Sheet(values, np.ones((*values.shape[:2], 1), np.float32), box)


def _raster(scene: Floats, there: Floats, rng: np.random.Generator) -> Floats:
    """The screen's pixels against the sensor's: faint waves, of another phase in each colour."""
    period, strength = rng.uniform(2.05, 14), rng.uniform(0, 0.16)
    coloured = rng.random() < 0.6
    for channel in range(3):
        wave = _grating(CANVAS_PX, CANVAS_PX, period * (1 + 0.1 * coloured * channel), rng)[..., 0]
        scene[..., channel] *= 1 + np.float32(strength) * wave * there[..., 0]
    return scene


def _grating(high: int, wide: int, period: float, rng: np.random.Generator) -> Floats:
    rows, columns = np.mgrid[:high, :wide].astype(np.float32)
    angle = rng.uniform(0, np.pi)
    first = np.sin(2 * np.pi * (columns * np.cos(angle) + rows * np.sin(angle)) / period + rng.uniform(0, 6))
    second = np.sin(2 * np.pi * (rows * np.cos(angle) - columns * np.sin(angle)) / period + rng.uniform(0, 6))
    return np.asarray((first * second if rng.random() < 0.6 else first)[..., None], np.float32)


def _placed(sheet: _Sheet, rng: np.random.Generator) -> NDArray[np.float64]:
    """From the sheet to the scene: the face of a drawn size near the middle, the sheet tilted."""
    high, wide = sheet.colours.shape[:2]
    scale = np.exp(rng.uniform(np.log(38), np.log(130))) / np.sqrt(sheet.box.width * sheet.box.height)
    centre = np.array([sheet.box.x + sheet.box.width / 2, sheet.box.y + sheet.box.height / 2])
    source = np.array([[0, 0], [wide, 0], [wide, high], [0, high]], np.float32)
    angle = rng.normal(0, 0.08)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    target = (source - centre) @ turn.T * scale + CANVAS_PX / 2 + rng.normal(0, 12, 2)
    target = target + rng.normal(0, 0.03 * scale * max(high, wide), (4, 2))
    return np.asarray(cv2.getPerspectiveTransform(source, target.astype(np.float32)), np.float64)


def _moved_box(box: Box, matrix: NDArray[np.float64]) -> Box:
    x, y, end_x, end_y = box.x, box.y, box.x + box.width, box.y + box.height
    corners = np.array([[[x, y], [end_x, y], [end_x, end_y], [x, end_y]]], np.float32)
    moved = cv2.perspectiveTransform(corners, matrix)[0]
    low, size = moved.min(axis=0), np.ptp(moved, axis=0)
    return Box(float(low[0]), float(low[1]), float(size[0]), float(size[1]))


def _shadow(there: Floats, rng: np.random.Generator) -> Floats:
    """What the sheet takes of the light behind it."""
    shift: Any = np.array([[1, 0, rng.uniform(-14, 14)], [0, 1, rng.uniform(0, 14)]], np.float32)
    cast = cv2.GaussianBlur(cv2.warpAffine(there, shift, (CANVAS_PX, CANVAS_PX)), (0, 0), rng.uniform(2, 10))
    return np.asarray(cast[..., None] * rng.uniform(0.1, 0.5), np.float32)


def _fingers(scene: Floats, sheet: _Sheet, matrix: NDArray[np.float64], rng: np.random.Generator) -> Floats:
    """A few fingers over an edge of the sheet."""
    high, wide = sheet.colours.shape[:2]
    edge = rng.integers(0, 3)
    places = {
        0: (rng.uniform(0, wide), high),
        1: (0.0, rng.uniform(high / 2, high)),
        2: (wide, rng.uniform(high / 2, high)),
    }
    start = cv2.perspectiveTransform(np.array([[places[int(edge)]]], np.float32), matrix)[0, 0]
    skin = np.array([rng.uniform(90, 235), 0, 0])
    skin[1], skin[2] = skin[0] * rng.uniform(0.68, 0.84), skin[0] * rng.uniform(0.52, 0.74)
    inward = np.array([CANVAS_PX / 2, CANVAS_PX / 2]) - start
    inward = inward / max(float(np.linalg.norm(inward)), 1.0)
    thick = rng.uniform(7, 16)
    hand = np.zeros((CANVAS_PX, CANVAS_PX), np.float32)
    for number in range(int(rng.integers(1, 5))):
        begin = start - inward * 30 + np.array([-inward[1], inward[0]]) * thick * 1.1 * number
        end = begin + inward * rng.uniform(32, 60)
        points = [tuple(int(one) for one in place) for place in (begin, end)]
        cv2.line(hand, points[0], points[1], (1.0,), int(thick), cv2.LINE_AA)
    soft = np.asarray(cv2.GaussianBlur(hand, (0, 0), 0.8)[..., None], np.float32)
    shade = 1 - 0.25 * cv2.GaussianBlur(1 - soft, (0, 0), thick / 3)[..., None]
    return np.asarray(scene * (1 - soft) + soft * shade * skin, np.float32)
