"""Faces cut the way the refining network sees them: about rough landmarks, in any sharpness and light."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import trange

from facelatch.errors import InputError
from facelatch.vision.align import CROP_SIZE_PX, similarity_transform
from facelatch_training.finder.data.degrade import degrade, occlude
from facelatch_training.finder.data.faces import Image, Photo
from facelatch_training.finder.data.labels import Labels, move
from facelatch_training.finder.recipe import Recipe, Refine, refuse_other_data

SPARE = 8
"""Pixels on each side of a stored patch that the network does not see, so that it can shift."""

SIDE = CROP_SIZE_PX + 2 * SPARE
_MARGIN = 40  # of an aligned crop, which ends close to the face
_SHARPEST = 45.0  # px between the eyes


@dataclass(frozen=True, eq=False)
class Patches:
    """Pictures (N, SIDE, SIDE, 3) and their landmarks (N, 5, 2)."""

    images: NDArray[np.uint8]
    points: Labels
    fingerprint: str


def compose_patches(
    photos: Sequence[Photo], sprites: Sequence[Photo], recipe: Recipe, count: int, out: Path
) -> Patches:
    """Cuts `count` patches into the folder `out`; patches.json comes last, as the sign that all is there."""
    faces = [(photo, number) for photo in photos for number in range(len(photo.faces))]
    out.mkdir(parents=True, exist_ok=True)
    images = np.lib.format.open_memmap(  # type: ignore[no-untyped-call]
        out / "patches.npy", mode="w+", dtype=np.uint8, shape=(count, SIDE, SIDE, 3)
    )
    points = np.zeros((count, 5, 2), np.float32)
    digest = hashlib.sha256()
    for index in trange(count, desc="patches", unit="face"):
        rng = np.random.default_rng([recipe.seed, index])
        if sprites and (not faces or rng.random() >= recipe.refine.photo_share):
            photo, number = on_ground(sprites[int(rng.integers(len(sprites)))], rng), 0
        else:
            photo, number = faces[int(rng.integers(len(faces)))]
        images[index], points[index] = patch(photo, number, recipe.refine, rng)
        digest.update(images[index].tobytes())
    images.flush()
    np.savez(out / "points.npz", points=points)
    digest.update(points.tobytes())
    about = {"data_sha256": recipe.data_sha256, "fingerprint": digest.hexdigest()}
    (out / "patches.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return load_patches(out, recipe)


def load_patches(folder: Path, recipe: Recipe) -> Patches:
    """What `compose_patches` wrote into `folder`. Raises InputError when it is not (all) there, or was cut by another
    recipe.
    """
    path = folder / "patches.json"
    if not path.is_file():
        raise InputError(
            f"{path}: no such file", hint="run `facelatch-train finder prepare` into this folder"
        )
    about = json.loads(path.read_text(encoding="utf-8"))
    refuse_other_data(path, about, recipe)
    with np.load(folder / "points.npz") as stored:
        points = stored["points"]
    return Patches(np.load(folder / "patches.npy", mmap_mode="r"), points, about["fingerprint"])


def patch(photo: Photo, number: int, data: Refine, rng: np.random.Generator) -> tuple[Image, Labels]:
    """One face of a photo as (SIDE, SIDE, 3) about landmarks as rough as the finder's, and its true ones (5, 2)."""
    face = photo.faces[number].astype(np.float64)
    points = face[4:14].reshape(5, 2)
    eyes = max(float(np.hypot(*(points[0] - points[1]))), 0.25 * float(np.sqrt(face[2] * face[3])))
    sharp = min(eyes, _SHARPEST)
    target_px = float(np.exp(rng.uniform(np.log(min(data.least_eyes_px, sharp)), np.log(sharp))))
    image, points = _reduced(photo.image, points, target_px / eyes)
    if rng.random() < data.degrade_share / 2:
        image = degrade(image, rng)
    rough = _roughened(points, data.roughness * target_px, np.deg2rad(rng.normal(0, data.turn_deg)), rng)
    transform = similarity_transform(rough.astype(np.float32))
    if transform is None:  # landmarks in one point: nothing to align by
        transform = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    transform[:, 2] += SPARE
    cut = np.asarray(cv2.warpAffine(image, transform, (SIDE, SIDE), flags=cv2.INTER_LINEAR), np.uint8)
    points = points @ transform[:, :2].T + transform[:, 2]
    if rng.random() < data.degrade_share / 2:
        cut = degrade(cut, rng)
    if rng.random() < 0.1:
        box = np.array([[SPARE + 14, SPARE + 8, 84, 104]], np.float32)
        cut = occlude(cut, box, rng)
    return cut, points.astype(np.float32)


def on_ground(sprite: Photo, rng: np.random.Generator) -> Photo:
    """An aligned crop with something about it: its own blurred border, a colour, or noise."""
    image = cv2.copyMakeBorder(sprite.image, _MARGIN, _MARGIN, _MARGIN, _MARGIN, cv2.BORDER_REPLICATE)
    draw = rng.random()
    if draw < 0.5:  # most crops end in a background that goes on
        ground = cv2.blur(image, (31, 31))
    elif draw < 0.8:
        ground = np.full_like(image, rng.integers(0, 256, 3).astype(np.uint8))
    else:
        tone = rng.integers(0, 256, (6, 6, 3)).astype(np.uint8)
        ground = cv2.resize(tone, image.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    ground[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN] = sprite.image
    shift = np.array([[1.0, 0, _MARGIN], [0, 1.0, _MARGIN]])
    return Photo(
        name=sprite.name,
        image=np.asarray(ground, np.uint8),
        faces=move(sprite.faces, shift),
        ignore=sprite.ignore,
    )


def _reduced(image: Image, points: Labels, factor: float) -> tuple[Image, Labels]:
    """The picture made smaller by area, as a camera farther away would see it."""
    if factor > 0.95:
        return image, points
    small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    ratio = np.array([small.shape[1] / image.shape[1], small.shape[0] / image.shape[0]])
    return np.asarray(small, np.uint8), np.asarray((points + 0.5) * ratio - 0.5)


def _roughened(points: Labels, spread: float, turn: float, rng: np.random.Generator) -> Labels:
    """Landmarks as wrong as the finder's: turned, moved together, and each by itself."""
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    middle = points.mean(axis=0) + rng.normal(0, spread / 2, 2)
    scale = np.exp(rng.normal(0, 0.08))
    rough = (points - points.mean(axis=0)) @ turned.T * scale + middle + rng.normal(0, spread, points.shape)
    return np.asarray(rough)
