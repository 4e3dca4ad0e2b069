"""`facelatch-train liveness prepare`: views of faces, each with what the teacher says to that very view."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from facelatch.errors import InputError
from facelatch.values.pictures import Box, Image
from facelatch.vision.liveness import VIEW_PX, view
from facelatch_training.files import keep_out_of_git, replacing
from facelatch_training.liveness.data.camera import resized, seen_by_camera
from facelatch_training.liveness.data.pictures import Picture, read_pixels, read_table, read_tar
from facelatch_training.liveness.data.render import present
from facelatch_training.liveness.data.teacher import MiniFasNet
from facelatch_training.liveness.recipe import Recipe

VIEWS, TABLE, ABOUT = "views.npy", "table.npz", "about.json"
KINDS = ("", "print", "screen", "mask")
MADE = "made"


@dataclass(frozen=True)
class Prepared:
    """The views (N, 80, 80, 3) and, for each, what is known of it."""

    images: NDArray[np.uint8]
    live: NDArray[np.int8]
    """1 alive, 0 an attack."""
    kind: NDArray[np.int8]
    """Index in KINDS."""
    teacher: NDArray[np.float32]
    """The teacher's share of alive, 0 to 1."""
    source: NDArray[np.str_]
    fingerprint: str


def prepare(recipe: Recipe, data: Path, teacher: Path, out: Path, own: Path | None = None) -> Prepared:
    """Writes the views into `out`. `data` is the folder with liveness/ and scenes/, `own` one of `collect`.

    Raises InputError.
    """
    keep_out_of_git(out)
    out.mkdir(parents=True, exist_ok=True)
    asked = MiniFasNet(teacher)
    plan = recipe.data
    total = plan.real_views + plan.made_attacks + plan.made_live
    with replacing(out / VIEWS) as partial:
        images: Any = np.lib.format.open_memmap(  # type: ignore[no-untyped-call]
            partial, "w+", np.uint8, (total, VIEW_PX, VIEW_PX, 3)
        )
        rows = []
        for number, (seen, source, live, kind) in enumerate(
            tqdm(_all_views(recipe, data, own), total=total, desc="views", mininterval=5)
        ):
            images[number] = seen
            rows.append((source, live, KINDS.index(kind), asked.teach(seen)))
        images.flush()
    source, live, kind, says = zip(*rows, strict=True)
    with replacing(out / TABLE) as partial, partial.open("wb") as stream:
        np.savez(
            stream,
            source=np.array(source),
            live=np.array(live, np.int8),
            kind=np.array(kind, np.int8),
            teacher=np.array(says, np.float32),
        )
    with replacing(out / ABOUT) as partial:
        partial.write_text(json.dumps({"data_sha256": recipe.data_sha256, "views": total}), encoding="utf-8")
    return load(out, recipe)


def load(folder: Path, recipe: Recipe) -> Prepared:
    """What `prepare` wrote. Raises InputError when it is not there, or was made by another recipe."""
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        table = np.load(folder / TABLE)
        images = np.load(folder / VIEWS, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder}: not prepared ({error})", hint="run `facelatch-train liveness prepare`"
        ) from error
    if about["data_sha256"] != recipe.data_sha256:
        raise InputError(f"{folder}: prepared by another recipe", hint="prepare again, or give that recipe")
    return Prepared(
        images=images,
        live=table["live"],
        kind=table["kind"],
        teacher=table["teacher"],
        source=table["source"],
        fingerprint=about["data_sha256"],
    )


def _all_views(recipe: Recipe, data: Path, own: Path | None = None) -> Iterator[tuple[Image, str, bool, str]]:
    """View, source, alive, kind, each drawn by its own number."""
    pictures: list[Picture] = []
    pixels: dict[str, Image] = {}
    for folder in (data / "liveness", *([own] if own is not None else [])):
        found = [picture for picture in read_table(folder) if picture.split == "train"]
        pictures += found
        pixels |= read_pixels(folder, found)
    chosen = np.random.default_rng(recipe.seed).choice(
        len(pictures), recipe.data.real_views, p=shares([(one.source, one.live) for one in pictures])
    )
    for number, index in enumerate(chosen):
        rng = np.random.default_rng([recipe.seed, 0, number])
        picture = pictures[int(index)]
        yield (
            real_view(pixels[picture.path], picture, recipe, rng),
            picture.source,
            picture.live,
            picture.kind,
        )
    scenes = read_scenes(data / "scenes")
    rooms = [image for _, image in read_tar(data / "scenes" / "empty.tar")]
    for number in range(recipe.data.made_attacks):
        rng = np.random.default_rng([recipe.seed, 1, number])
        image, box = scenes[int(rng.integers(len(scenes)))]
        made = present(image, box, rooms[int(rng.integers(len(rooms)))], rng)
        yield _drawn(seen_by_camera(made.image, rng), made.box, recipe, rng), MADE, False, made.kind
    for number in range(recipe.data.made_live):
        rng = np.random.default_rng([recipe.seed, 2, number])
        image, box = resized(*scenes[int(rng.integers(len(scenes)))], rng, (38, 110))
        yield _drawn(seen_by_camera(image, rng), box, recipe, rng), MADE, True, ""


def shares(groups: list[tuple[str, bool]]) -> NDArray[np.float64]:
    """How often each picture is drawn: a group's part grows with the root of its size."""
    sizes = Counter(groups)
    weights = np.array([sizes[group] ** -0.5 for group in groups])
    return np.asarray(weights / weights.sum(), np.float64)


def real_view(image: Image, picture: Picture, recipe: Recipe, rng: np.random.Generator) -> Image:
    """A drawn view of a labelled picture, its padding cut off or more added by chance: it tells the label here."""
    image, box = bare(image, picture.box) if rng.random() < 0.7 else (image, picture.box)
    if rng.random() < 0.15:
        image, box = _padded(image, box, rng)
    image, box = resized(image, box, rng, (32, 90))
    return _drawn(seen_by_camera(image, rng, strength=float(rng.uniform(0, 0.5))), box, recipe, rng)


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
