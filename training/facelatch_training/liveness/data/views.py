"""What the network learns from: views of labelled pictures, of rendered presentations, of people, drawn by number."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facelatch.values.pictures import Box, Image
from facelatch.vision.liveness import VIEW_PX, view
from facelatch_training.liveness.data.camera import resized, seen_by_camera
from facelatch_training.liveness.data.pictures import Picture, read_pixels, read_table, read_tar
from facelatch_training.liveness.data.render import present
from facelatch_training.liveness.recipe import Recipe

MADE = "made"
REAL, ATTACKS, LIVE, FACES, MIXED = range(5)
"""The parts of the views: labelled, rendered, photographed people, close faces, laid over each other."""
MOST_FACES = 4000
FACE_IN_CROP = Box(20, 6, 72, 102)
"""Where the face is in an aligned crop of 112 px."""
AROUND = 4.4
"""How much of a photograph the camera has to see, as a multiple of the face."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One view and what is known of it."""

    image: Image
    source: str
    live: int
    """1 alive, 0 an attack, -1 nobody knows."""
    kind: str = ""


@dataclass(frozen=True)
class Material:
    """Everything that views are drawn from."""

    pictures: list[Picture]
    pixels: dict[str, Image]
    chosen: NDArray[np.int64]
    """Which of the pictures each scene of labelled views is of."""
    scenes: list[tuple[Image, Box]]
    rooms: list[Image]
    faces: list[tuple[Image, Box]]


def read_material(recipe: Recipe, data: Path, own: Path | None = None) -> Material:
    """Reads all of `data` (liveness/, scenes/, faces/) but the split `judge`. Raises InputError."""
    pictures: list[Picture] = []
    pixels: dict[str, Image] = {}
    for folder in (data / "liveness", *([own] if own is not None else [])):
        found = [picture for picture in read_table(folder) if picture.split == "train"]
        pictures += found
        pixels |= read_pixels(folder, found)
    faces = islice(read_tar(data / "faces" / "faces-00.tar"), MOST_FACES)
    return Material(
        pictures=pictures,
        pixels=pixels,
        chosen=_chosen(recipe, pictures),
        scenes=read_scenes(data / "scenes"),
        rooms=[image for _, image in read_tar(data / "scenes" / "empty.tar")],
        faces=[(image, FACE_IN_CROP) for _, image in faces],
    )


def scene_views(recipe: Recipe, material: Material, part: int, number: int) -> Iterator[Seen]:
    """The `views_each` views of scene `number` of a part."""
    rng = np.random.default_rng([recipe.seed, part, number])
    source, live, kind = MADE, 1, ""
    if part == REAL:
        picture = material.pictures[material.chosen[number]]
        source, live, kind = picture.source, int(picture.live), picture.kind
        shot, box = real(material.pixels[picture.path], picture.box, rng)
    elif part == ATTACKS:
        photographs = material.faces if rng.random() < 0.3 else material.scenes
        image, box = photographs[int(rng.integers(len(photographs)))]
        made = present(image, box, material.rooms[int(rng.integers(len(material.rooms)))], rng)
        shot, box = seen_by_camera(made.image, rng), made.box
        live, kind = 0, made.kind
    else:
        photographs = material.faces if part == FACES else material.scenes
        image, box = resized(*_about(*photographs[int(rng.integers(len(photographs)))]), rng, (38, 110))
        shot = seen_by_camera(image, rng)
    for _ in range(recipe.data.views_each):
        yield Seen(_drawn(shot, box, recipe, rng), source, live, kind)


def mixed(one: Image, other: Image, rng: np.random.Generator) -> Image:
    """Two views laid over each other, or a part of one put into the other: what no camera has seen.

    What a teacher says of such views tells more of how it decides than another view of the same kind.
    """
    if rng.random() < 0.5:
        share = rng.uniform(0.2, 0.8)
        return np.asarray(share * one + (1 - share) * other, np.uint8)
    joined = one.copy()
    (top, bottom), (left, right) = (np.sort(rng.integers(0, VIEW_PX + 1, 2)) for _ in range(2))
    joined[top:bottom, left:right] = other[top:bottom, left:right]
    return joined


def _chosen(recipe: Recipe, pictures: list[Picture]) -> NDArray[np.int64]:
    groups = [(one.source, one.live) for one in pictures]
    count = recipe.data.real_views // recipe.data.views_each
    return np.random.default_rng(recipe.seed).choice(len(groups), count, p=shares(groups))


def shares(groups: list[tuple[str, bool]]) -> NDArray[np.float64]:
    """How often each picture is drawn: a group's part grows with the root of its size."""
    sizes = Counter(groups)
    weights = np.array([sizes[group] ** -0.5 for group in groups])
    return np.asarray(weights / weights.sum(), np.float64)


def real(image: Image, box: Box, rng: np.random.Generator) -> tuple[Image, Box]:
    """A labelled picture seen anew, its padding cut off or more added by chance: it tells the label here."""
    image, box = bare(image, box) if rng.random() < 0.7 else (image, box)
    if rng.random() < 0.15:
        image, box = _padded(image, box, rng)
    image, box = resized(image, box, rng, (32, 90))
    return seen_by_camera(image, rng, strength=float(rng.uniform(0, 0.5))), box


def _about(image: Image, box: Box) -> tuple[Image, Box]:
    """The part of the photograph that a view can show."""
    reach = AROUND / 2 * max(box.width, box.height)
    x, y = box.x + box.width / 2, box.y + box.height / 2
    left, top = max(0, int(x - reach)), max(0, int(y - reach))
    part = np.ascontiguousarray(image[top : int(y + reach) + 1, left : int(x + reach) + 1])
    return part, Box(box.x - left, box.y - top, box.width, box.height)


def _drawn(image: Image, box: Box, recipe: Recipe, rng: np.random.Generator) -> Image:
    """A view of drawn scale, of a box that is a little off, mirrored by chance."""
    scale = float(rng.uniform(recipe.data.least_scale, recipe.data.largest_scale))
    shift = rng.normal(0, 0.04, 2) * (box.width, box.height)
    grown = np.exp(rng.normal(0, 0.06, 2))
    centre = np.array([box.x + box.width / 2, box.y + box.height / 2]) + shift
    size = np.array([box.width, box.height]) * grown
    seen = view(image, Box(*(float(one) for one in (*(centre - size / 2), *size))), scale)
    return seen[:, ::-1] if rng.random() < 0.5 else seen


def bare(image: Image, box: Box, limit: float = 1.5) -> tuple[Image, Box]:
    """The picture without border rows and columns that only repeat the next one, which somebody has added."""
    grey = image.mean(axis=2)
    rows = np.abs(np.diff(grey, axis=0)).mean(axis=1) > limit
    columns = np.abs(np.diff(grey, axis=1)).mean(axis=0) > limit
    ends = []
    for changes, low, high in ((rows, box.y, box.y + box.height), (columns, box.x, box.x + box.width)):
        there = np.flatnonzero(changes)
        first, last = (int(there[0]), int(there[-1]) + 2) if len(there) else (0, len(changes) + 1)
        ends.append((max(0, min(first, int(low))), min(len(changes) + 1, max(last, int(high) + 1))))
    (top, bottom), (left, right) = ends
    return np.ascontiguousarray(image[top:bottom, left:right]), Box(
        box.x - left, box.y - top, box.width, box.height
    )


def _padded(image: Image, box: Box, rng: np.random.Generator) -> tuple[Image, Box]:
    sides = [int(one) for one in rng.integers(0, max(2, image.shape[0] // 4), 4) * (rng.random(4) < 0.5)]
    top, bottom, left, right = sides
    grown = np.pad(image, ((top, bottom), (left, right), (0, 0)), mode="edge")
    return grown, Box(box.x + left, box.y + top, box.width, box.height)


def read_scenes(folder: Path) -> list[tuple[Image, Box]]:
    """Photographs of people with the box of one face of at least 40 px each."""
    with (folder / "scenes.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if float(row["w"]) >= 40 and float(row["h"]) >= 40]
    boxes = {row["image"]: Box(*(float(row[key]) for key in "xywh")) for row in rows}
    return [(image, boxes[name]) for name, image in read_tar(folder / "scenes.tar", set(boxes))]
