"""Photos, crops and backgrounds -> composed training pictures and patches on disk, labelled and fingerprinted."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm, trange

from facelatch.errors import InputError
from facelatch_training.finder.data.faces import Image, Teacher, load_empty, load_photos, load_sprites, split
from facelatch_training.finder.data.labels import Labels, visible_share
from facelatch_training.finder.data.patches import compose_patches
from facelatch_training.finder.data.scenes import CANVAS, SLOTS, Stock, compose
from facelatch_training.finder.data.steady import steadied, steadied_crop
from facelatch_training.finder.recipe import Recipe, is_validation, refuse_other_data

VALIDATION, PATCHES = "validation", "patches"
"""Folders of the prepared data: what only the curves are drawn of, and what the refining network learns from."""

_PREPARE_WITH = "run `facelatch-train finder prepare` into this folder"


@dataclass(frozen=True, eq=False)
class Prepared:
    """Pictures (N, H, W, 3), labels (N, SLOTS, 14) and boxes to ignore (N, SLOTS, 4); NaN is none."""

    images: NDArray[np.uint8]
    faces: Labels
    ignore: Labels
    fingerprint: str


def prepare(recipe: Recipe, root: Path, teacher: Path, out: Path) -> Prepared:
    """Composes `recipe.data.images` pictures of the training share of the data under `root` into `out`."""
    net = Teacher(teacher)
    loaded = load_photos(root, net)
    photos, kept = split([steadied(p, net) for p in tqdm(loaded, desc="landmarks", unit="photo")], recipe)
    crops = load_sprites(root, recipe, net)
    sprites = [steadied_crop(p, net) for p in tqdm(crops, desc="landmarks", unit="crop")]
    empty: dict[bool, list[Image]] = {True: [], False: []}
    for name, image in load_empty(root):
        empty[is_validation(name, recipe)].append(image)
    compose_all(Stock(photos, sprites, empty[False]), recipe, recipe.data.images, out)
    # For the curves only; figures come from `evaluate`, on the photos as they are.
    compose_all(Stock(kept, [], empty[True]), recipe, max(1, recipe.data.images // 30), out / VALIDATION)
    patches, validation_patches = recipe.refine.patches, max(1, recipe.refine.patches // 30)
    compose_patches(photos, sprites, recipe, patches, out / PATCHES)
    compose_patches(kept, [], recipe, validation_patches, out / PATCHES / VALIDATION)
    return load(out, recipe)


def compose_all(stock: Stock, recipe: Recipe, count: int, out: Path) -> None:
    """Writes images.npy, labels.npz and prepare.json; the last one last, as the sign that all is there."""
    out.mkdir(parents=True, exist_ok=True)
    images = np.lib.format.open_memmap(  # type: ignore[no-untyped-call]
        out / "images.npy", mode="w+", dtype=np.uint8, shape=(count, CANVAS[1], CANVAS[0], 3)
    )
    faces = np.full((count, SLOTS, 14), np.nan, np.float32)
    ignore = np.full((count, SLOTS, 4), np.nan, np.float32)
    digest = hashlib.sha256()
    for index in trange(count, desc="scenes", unit="image"):
        scene = compose(stock, recipe.data, np.random.default_rng([recipe.seed, index]))
        images[index] = scene.image
        digest.update(scene.image.tobytes())
        for rows, store in ((scene.faces, faces), (scene.ignore, ignore)):
            visible = rows[visible_share(rows[:, :4], *CANVAS) > 0][:SLOTS]
            store[index, : len(visible)] = visible
    images.flush()
    np.savez(out / "labels.npz", faces=faces, ignore=ignore)
    digest.update(faces.tobytes())
    digest.update(ignore.tobytes())
    about = {"data_sha256": recipe.data_sha256, "fingerprint": digest.hexdigest()}
    (out / "prepare.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def load(folder: Path, recipe: Recipe) -> Prepared:
    """What `prepare` wrote. Raises InputError naming what is missing, does not fit together, or was prepared by another
    recipe.
    """
    for name in ("images.npy", "labels.npz", "prepare.json"):
        if not (folder / name).is_file():
            raise InputError(f"{folder / name}: no such file", hint=_PREPARE_WITH)
    images = np.load(folder / "images.npy", mmap_mode="r")
    with np.load(folder / "labels.npz") as labels:
        faces, ignore = labels["faces"], labels["ignore"]
    if len(images) != len(faces):
        raise InputError(f"{folder}: {len(images)} pictures, {len(faces)} rows of labels", hint=_PREPARE_WITH)
    about = json.loads((folder / "prepare.json").read_text(encoding="utf-8"))
    refuse_other_data(folder / "prepare.json", about, recipe)
    return Prepared(images=images, faces=faces, ignore=ignore, fingerprint=about["fingerprint"])
