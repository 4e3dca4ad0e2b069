"""Composed training pictures: photos turned and scaled, faces pasted on backgrounds, empty rooms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facelatch_training.finder.data.degrade import degrade, occlude
from facelatch_training.finder.data.faces import Image, Photo
from facelatch_training.finder.data.labels import Labels, move, move_boxes
from facelatch_training.finder.recipe import Data

CANVAS = (352, 272)
"""Width and height px of a composed picture: 32 px more than the network sees, so that it can shift."""

SLOTS = 12
"""Labels, and boxes to ignore, stored per picture at most."""


@dataclass(frozen=True, eq=False)
class Stock:
    """What scenes are composed of."""

    photos: Sequence[Photo]
    sprites: Sequence[Photo]
    empty: Sequence[Image]


@dataclass(frozen=True, eq=False)
class Scene:
    """A composed picture with its labels (K, 14) and boxes to ignore (M, 4)."""

    image: Image
    faces: Labels
    ignore: Labels


def compose(stock: Stock, data: Data, rng: np.random.Generator, canvas: tuple[int, int] = CANVAS) -> Scene:
    """One picture; the same generator state gives the same picture."""
    draw = rng.random()
    if draw < data.photo_share and stock.photos:
        scene = _photo_scene(stock, data, rng, canvas)
    elif draw < data.photo_share + data.sprite_share and stock.sprites:
        scene = _sprite_scene(stock, data, rng, canvas)
    else:
        none = np.zeros((0, 4), np.float32)
        scene = Scene(_background(stock, rng, canvas), np.zeros((0, 14), np.float32), none)
    if rng.random() < data.degrade_share:
        image = occlude(scene.image, scene.faces, rng) if rng.random() < 0.2 else scene.image
        scene = Scene(degrade(image, rng), scene.faces, scene.ignore)
    return scene


def _photo_scene(stock: Stock, data: Data, rng: np.random.Generator, canvas: tuple[int, int]) -> Scene:
    """One to six photos, each turned and scaled so that a face of it has a size even in octaves."""
    image = _background(stock, rng, canvas)
    faces: list[Labels] = []
    ignore: list[Labels] = []
    for _ in range(int(rng.choice([1, 2, 3, 4, 5, 6]))):
        photo = stock.photos[int(rng.integers(len(stock.photos)))]
        if not len(photo.faces):
            continue
        face = photo.faces[int(rng.integers(len(photo.faces)))]
        side = float(np.sqrt(face[2] * face[3]))
        size = _log_uniform(rng, data.smallest_px * 1.1, min(data.largest_px, side * 1.8))
        matrix = _placing(face, size / side, _angle(rng, data), _spot(rng, canvas))
        height, width = photo.image.shape[:2]
        mask = _warp(np.full((height, width), 255, np.uint8), matrix, canvas)
        picture = _shrunk_warp(photo.image, matrix, canvas, size / side)
        earlier = np.concatenate(faces) if faces else np.zeros((0, 14), np.float32)
        hidden = _covered(earlier[:, :4], mask)
        faces = [earlier[hidden < 0.3]]
        ignore.append(earlier[hidden >= 0.3, :4])
        image = _blend(image, picture, mask)
        faces.append(move(photo.faces, matrix))
        ignore.append(move_boxes(photo.ignore, matrix))
    return _scene(image, faces, ignore)


def _sprite_scene(stock: Stock, data: Data, rng: np.random.Generator, canvas: tuple[int, int]) -> Scene:
    """One to eight aligned crops with soft outlines on a background; no two overlap much."""
    image = _background(stock, rng, canvas)
    faces: list[Labels] = []
    taken = np.zeros((canvas[1], canvas[0]), np.uint8)
    for _ in range(int(rng.choice([1, 2, 3, 4, 6, 8]))):
        sprite = stock.sprites[int(rng.integers(len(stock.sprites)))]
        face = sprite.faces[0]
        side = float(np.sqrt(face[2] * face[3]))
        size = _log_uniform(rng, data.smallest_px * 1.1, data.largest_px)
        matrix = _placing(face, size / side, _angle(rng, data), _spot(rng, canvas))
        mask = _warp(_outline(rng, sprite.image.shape[0]), matrix, canvas)
        if (taken[mask > 127] > 0).mean() > 0.05 if (mask > 127).any() else True:
            continue
        image = _blend(image, _shrunk_warp(sprite.image, matrix, canvas, size / side), mask)
        taken[mask > 0] = 1
        faces.append(move(sprite.faces, matrix))
    return _scene(image, faces, [])


def _scene(image: Image, faces: list[Labels], ignore: list[Labels]) -> Scene:
    none = [np.zeros((0, 14), np.float32)]
    return Scene(image, np.concatenate(faces + none), np.concatenate([*ignore, none[0][:, :4]]))


def _background(stock: Stock, rng: np.random.Generator, canvas: tuple[int, int]) -> Image:
    """A random piece of an empty background, now and then noise or a plain colour."""
    width, height = canvas
    if rng.random() < 0.08 or not stock.empty:
        tone = rng.integers(0, 256, (int(rng.integers(1, 9)), int(rng.integers(1, 9)), 3)).astype(np.uint8)
        return np.asarray(cv2.resize(tone, canvas, interpolation=int(rng.choice([0, 1]))), np.uint8)
    image = stock.empty[int(rng.integers(len(stock.empty)))]
    full_height, full_width = image.shape[:2]
    share = rng.uniform(0.35, 1.0)
    span = max(8, int(full_width * share)), max(8, int(full_height * share))
    x, y = int(rng.integers(full_width - span[0] + 1)), int(rng.integers(full_height - span[1] + 1))
    piece = image[y : y + span[1], x : x + span[0]]
    if rng.random() < 0.5:
        piece = piece[:, ::-1]
    return np.asarray(cv2.resize(piece, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _outline(rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
    """A soft head-shaped mask for a crop, or (rarely) nearly the whole square."""
    mask = np.zeros((side, side), np.uint8)
    if rng.random() < 0.3:
        inset = int(rng.integers(1, 8))
        mask[inset:-inset, inset:-inset] = 255
        soft = int(rng.integers(0, 4)) * 2 + 1
    else:
        axes = (int(side * rng.uniform(0.43, 0.5)), int(side * rng.uniform(0.49, 0.56)))
        cv2.ellipse(mask, (side // 2, int(side * 0.5)), axes, 0, 0, 360, (255,), -1)
        soft = int(rng.integers(2, 7)) * 2 + 1
    mask = np.asarray(cv2.GaussianBlur(mask, (soft, soft), 0), np.uint8)
    mask[[0, -1]] = 0
    mask[:, [0, -1]] = 0
    return mask


def _placing(face: Labels, scale: float, degrees: float, spot: tuple[float, float]) -> NDArray[np.float64]:
    """The similarity that scales and turns about the face's centre and puts it at `spot`."""
    centre = (float(face[0] + face[2] / 2), float(face[1] + face[3] / 2))
    matrix = cv2.getRotationMatrix2D(centre, degrees, scale).astype(np.float64)
    matrix[:, 2] += np.subtract(spot, centre)
    return np.asarray(matrix)


def _shrunk_warp(image: Image, matrix: NDArray[np.float64], canvas: tuple[int, int], scale: float) -> Image:
    return _warp(*(reduced(image, matrix, scale) if scale < 0.6 else (image, matrix)), canvas)


def reduced(image: Image, matrix: NDArray[np.float64], scale: float) -> tuple[Image, NDArray[np.float64]]:
    """The picture made smaller by area, as by optics, and the `matrix` (2, 3) that does with it what it did before."""
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    ratio = np.array([image.shape[1] / small.shape[1], image.shape[0] / small.shape[0]])
    moved = matrix.copy()
    moved[:, 2] += matrix[:, :2] @ (ratio / 2 - 0.5)
    moved[:, :2] = matrix[:, :2] * ratio
    return np.asarray(small, np.uint8), moved


def _warp(image: Image, matrix: NDArray[np.float64], canvas: tuple[int, int]) -> Image:
    return np.asarray(cv2.warpAffine(image, matrix, canvas, flags=cv2.INTER_LINEAR), np.uint8)


def _blend(below: Image, above: Image, mask: NDArray[np.uint8]) -> Image:
    weight = mask[..., None].astype(np.uint16)
    mixed = (above.astype(np.uint16) * weight + below.astype(np.uint16) * (255 - weight) + 127) // 255
    return np.asarray(mixed, np.uint8)


def _covered(boxes: Labels, mask: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Share of each box that the mask hides."""
    shares = []
    for x, y, w, h in boxes:
        piece = mask[max(0, int(y)) : max(0, int(y + h)) + 1, max(0, int(x)) : max(0, int(x + w)) + 1]
        shares.append(float((piece > 127).mean()) if piece.size else 1.0)
    return np.array(shares, np.float32)


def _angle(rng: np.random.Generator, data: Data) -> float:
    return float(np.clip(rng.normal(0, data.rotation_deg / 2.2), -data.rotation_deg, data.rotation_deg))


def _spot(rng: np.random.Generator, canvas: tuple[int, int]) -> tuple[float, float]:
    return float(rng.uniform(0.04, 0.96) * canvas[0]), float(rng.uniform(0.04, 0.96) * canvas[1])


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(max(high, low * 1.01)))))
