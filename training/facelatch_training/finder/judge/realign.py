"""Verification accuracy with crops cut by a finder's landmarks, which is what a door needs of a finder.

Aligned crops of validation identities are rendered into larger scenes at random place, scale and angle;
each finder must find them there, in a 320x240 view, and the door's own alignment cuts the crop from the
640x480 scene. The same pairs are then compared with the same recogniser.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from facelatch.vision.align import CROP_SIZE_PX, TEMPLATE, align
from facelatch_training.finder.data.faces import Image, read_tar
from facelatch_training.finder.data.labels import Labels
from facelatch_training.finder.judge.peers import FindRows
from facelatch_training.judge.metrics import best_threshold

Embed = Callable[[Image], NDArray[np.float32]]
"""A crop (112, 112, 3) -> a unit embedding (D,)."""

SCENE = (640, 480)
_FOLDS = 10


def pairs_of(root: Path, count: int, seed: int) -> list[tuple[str, str, bool]]:
    """Balanced seeded pairs of validation crops (paths): same person, different person in turn."""
    people: dict[str, list[str]] = defaultdict(list)
    with (root / "faces" / "faces.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["split"] == "validation":
                people[row["identity"]].append(row["path"])
    rng = np.random.default_rng(seed)
    names = sorted(people)
    several = [name for name in names if len(people[name]) > 1]
    pairs = []
    for index in range(count):
        if index % 2 == 0:
            name = several[int(rng.integers(len(several)))]
            first, second = rng.choice(people[name], 2, replace=False)
        else:
            one, other = rng.choice(len(names), 2, replace=False)
            first, second = rng.choice(people[names[one]]), rng.choice(people[names[other]])
        pairs.append((str(first), str(second), index % 2 == 0))
    return pairs


def read_crops(root: Path, pairs: Sequence[tuple[str, str, bool]]) -> dict[str, Image]:
    """The crops of the pairs by path."""
    paths = {path for first, second, _ in pairs for path in (first, second)}
    crops: dict[str, Image] = {}
    for shard in sorted((root / "faces").glob("faces-*.tar")):
        crops.update(read_tar(shard, paths))
    return crops


def render(crop: Image, background: Image, rng: np.random.Generator) -> tuple[Image, Labels]:
    """A scene (480, 640, 3) with the crop somewhere in it, and where its template landmarks (5, 2) lie."""
    scale = float(np.exp(rng.uniform(np.log(0.6), np.log(2.0))))
    margin = scale * CROP_SIZE_PX * 0.75
    spot = [rng.uniform(margin, side - margin) for side in SCENE]
    matrix = cv2.getRotationMatrix2D((56, 56), float(np.clip(rng.normal(0, 12), -30, 30)), scale)
    matrix = np.asarray(matrix, np.float64) + np.array([[0, 0, spot[0] - 56], [0, 0, spot[1] - 56]])
    mask = np.zeros((CROP_SIZE_PX, CROP_SIZE_PX), np.float32)
    mask[4:-4, 4:-4] = 1
    weight = np.asarray(cv2.warpAffine(cv2.GaussianBlur(mask, (7, 7), 0), matrix, SCENE))[..., None]
    scene = cv2.resize(background, SCENE) * (1 - weight) + cv2.warpAffine(crop, matrix, SCENE) * weight
    return scene.astype(np.uint8), (TEMPLATE @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def verification(
    finders: Mapping[str, FindRows],
    embed: Embed,
    root: Path,
    empty: Sequence[Image],
    *,
    pairs: int,
    seed: int,
) -> dict[str, Any]:
    """Accuracy (10-fold best threshold) per finder on the pairs both of whose faces every finder found.

    Also the share of faces each finder found, and the accuracy of the untouched crops for comparison.
    """
    chosen = pairs_of(root, pairs, seed)
    crops = read_crops(root, chosen)
    rng = np.random.default_rng(seed)
    vectors: dict[str, dict[str, NDArray[np.float32] | None]] = {name: {} for name in finders}
    vectors["untouched"] = {}
    for path, crop in tqdm(sorted(crops.items()), desc="aligning anew", unit="face"):
        scene, truth = render(crop, empty[int(rng.integers(len(empty)))], rng)
        vectors["untouched"][path] = embed(crop)
        small = np.asarray(cv2.resize(scene, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)
        for name, find in finders.items():
            landmarks = _nearest(find(small), truth / 2)
            cut = None if landmarks is None else align(scene, landmarks * 2 + 0.5)
            vectors[name][path] = None if cut is None else embed(cut)
    found_share = {name: np.mean([v is not None for v in vectors[name].values()]) for name in finders}
    usable = [p for p in chosen if all(v[path] is not None for v in vectors.values() for path in p[:2])]
    same = np.array([p[2] for p in usable])
    report: dict[str, Any] = {"pairs": len(usable), "faces": len(crops)}
    for name, embeddings in vectors.items():
        similarity = np.array([float(np.dot(embeddings[a], embeddings[b])) for a, b, _ in usable])  # type: ignore[arg-type]
        report[name] = {"accuracy_percent": round(100 * _folded(similarity, same), 2)}
        if name in found_share:
            report[name]["found_percent"] = round(100 * float(found_share[name]), 2)
    return report


def _nearest(rows: Labels, truth: Labels) -> Labels | None:
    """The landmarks (5, 2) of the find nearest to where the face is; None when none is near."""
    if not len(rows):
        return None
    points = rows[:, 4:14].reshape(-1, 5, 2)
    distance = np.hypot(*(points.mean(axis=1) - truth.mean(axis=0)).T)
    eyes = float(np.hypot(*(truth[0] - truth[1])))
    best = int(np.argmin(np.where(rows[:, 14] >= 0.3, distance, np.inf)))
    return points[best] if rows[best, 14] >= 0.3 and distance[best] < 0.6 * eyes else None


def _folded(similarity: NDArray[np.float64], same: NDArray[np.bool_]) -> float:
    fold = np.arange(len(same)) // 2 % _FOLDS
    right = np.zeros(len(same), bool)
    for number in range(_FOLDS):
        inside = fold == number
        threshold = best_threshold(similarity[~inside].astype(np.float32), same[~inside])
        right[inside] = (similarity[inside] >= threshold) == same[inside]
    return float(right.mean())
