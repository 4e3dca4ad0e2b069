"""Labelled pictures: photos, aligned crops and empty backgrounds, with a teacher's boxes and landmarks.

A label is a row of 14 numbers: box x, y, width, height and five landmarks x, y, px, image-left first.
"""

from __future__ import annotations

import csv
import tarfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from facelatch.errors import InputError
from facelatch_training.finder.recipe import Recipe, is_validation

Image = NDArray[np.uint8]
Labels = NDArray[np.float32]

SURE, DOUBTFUL = 0.8, 0.3
"""The teacher's scores from which a face is a label, and from which it is at least not a non-face."""

# Right and left are the person's: the person's right eye is the image-left one.
_POINTS = ("right_eye", "left_eye", "nose", "mouth_right", "mouth_left")
_COLUMNS = ["x", "y", "w", "h", *(f"{point}_{axis}" for point in _POINTS for axis in "xy")]


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture with its faces. `ignore` (M, 4) are boxes of things that may be faces."""

    name: str
    image: Image
    faces: Labels
    ignore: Labels


class Teacher:
    """YuNet through OpenCV: the source of labels, and a peer in the evaluation."""

    def __init__(self, model: Path, *, score: float = DOUBTFUL) -> None:
        if not model.is_file():
            raise InputError(f"{model}: no such file", hint="give the teacher's ONNX file with --teacher")
        self._net = cv2.FaceDetectorYN.create(str(model), "", (320, 240), score, 0.3, 500)

    def find(self, image: Image) -> Labels:
        """Rows (K, 15) of an RGB image: label and score, best first."""
        self._net.setInputSize((image.shape[1], image.shape[0]))
        found = self._net.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
        return np.zeros((0, 15), np.float32) if found is None else np.asarray(found, np.float32)


def load_photos(root: Path, teacher: Teacher) -> list[Photo]:
    """The photos of `scenes.tar` with the labels of `scenes.csv`, checked by the teacher at twice the size.

    A label the teacher no longer sees at all, or that is not a plausible face, becomes a box to ignore;
    a sure face that had no label becomes one.
    """
    labels: dict[str, list[list[float]]] = defaultdict(list)
    with (root / "scenes" / "scenes.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            labels[row["image"]].append([float(row[column]) for column in _COLUMNS])
    photos = []
    for name, image in tqdm(read_tar(root / "scenes" / "scenes.tar"), desc="photos", unit="image"):
        listed = np.array(labels[name], np.float32).reshape(-1, 14)
        twice = teacher.find(cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC))
        seen, scores = twice[:, :14] / 2, twice[:, 14]
        overlap = iou(listed[:, :4], seen[:, :4])
        confirmed = overlap.max(axis=1, initial=0) > 0.4
        plausible = np.array([_plausible(face) for face in listed], bool)
        keep = confirmed & plausible
        fresh = overlap.max(axis=0, initial=0) <= 0.4
        new = fresh & (scores >= SURE) & np.array([_plausible(face) for face in seen], bool)
        photos.append(
            Photo(
                name,
                image,
                np.concatenate([listed[keep], seen[new]]),
                np.concatenate([listed[~keep, :4], seen[fresh & ~new, :4]]),
            )
        )
    return photos


def load_empty(root: Path) -> list[tuple[str, Image]]:
    """The backgrounds without faces."""
    return list(read_tar(root / "scenes" / "empty.tar"))


def load_sprites(root: Path, recipe: Recipe, teacher: Teacher) -> list[Photo]:
    """A seeded choice of aligned crops of training identities, labelled by the teacher."""
    rng = np.random.default_rng(recipe.seed)
    with (root / "faces" / "faces.csv").open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["split"] == "train" and float(r["agreement"]) >= 0.35]
    chosen = {rows[i]["path"] for i in rng.permutation(len(rows))[: recipe.data.sprites]}
    shards = sorted({row["shard"] for row in rows})
    photos = []
    with tqdm(total=len(chosen), desc="crops", unit="image") as progress:
        for shard in shards:
            for name, crop in read_tar(root / "faces" / shard, chosen):
                progress.update()
                face = label_crop(crop, teacher)
                if face is not None:
                    photos.append(Photo(name, crop, face[None], np.zeros((0, 4), np.float32)))
    return photos


def label_crop(crop: Image, teacher: Teacher) -> Labels | None:
    """The teacher's label (14,) of an aligned crop, seen on a blurred border; None when it is not sure."""
    border = 24
    padded = cv2.copyMakeBorder(crop, border, border, border, border, cv2.BORDER_REPLICATE)
    soft = np.asarray(cv2.blur(padded, (31, 31)), np.uint8)
    soft[border:-border, border:-border] = crop
    found = teacher.find(soft)
    if not len(found) or found[0, 14] < SURE:
        return None
    face = found[0, :14].copy()
    face[[0, 1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]] -= border
    centre = face[:2] + face[2:4] / 2
    return face if np.abs(centre - [56, 62]).max() < 16 and _plausible(face) else None


def split(photos: list[Photo], recipe: Recipe) -> tuple[list[Photo], list[Photo]]:
    """Photos for training and for validation."""
    kept = [photo for photo in photos if is_validation(photo.name, recipe)]
    return [photo for photo in photos if not is_validation(photo.name, recipe)], kept


def read_tar(path: Path, only: set[str] | None = None) -> Iterator[tuple[str, Image]]:
    """Names and RGB images of a tar file, in its order. Raises InputError naming a file that is no image."""
    if not path.is_file():
        raise InputError(f"{path}: no such file", hint="see training/README.md for the data's layout")
    with tarfile.open(path) as archive:
        for member in archive:
            if not member.isfile() or (only is not None and member.name not in only):
                continue
            data = archive.extractfile(member)
            coded = np.frombuffer(data.read() if data else b"", np.uint8)
            image = cv2.imdecode(coded, cv2.IMREAD_COLOR) if len(coded) else None
            if image is None:
                raise InputError(f"{path}: {member.name} is not an image", hint="fetch the archive again")
            yield member.name, np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def iou(first: Labels, second: Labels) -> NDArray[np.float32]:
    """Intersection over union (N, M) of boxes x, y, width, height."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum((first[:, :2] + first[:, 2:4])[:, None], (second[:, :2] + second[:, 2:4])[None])
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    areas = np.prod(first[:, 2:4], axis=1)[:, None] + np.prod(second[:, 2:4], axis=1)[None]
    return np.asarray(shared / np.maximum(areas - shared, 1e-6), np.float32)


def _plausible(face: Labels) -> bool:
    """Whether the landmarks lie as a face's do: apart, and mostly inside the box."""
    x, y, width, height = face[:4]
    points = face[4:14].reshape(5, 2)
    inside = (
        (points[:, 0] > x - 0.15 * width)
        & (points[:, 0] < x + 1.15 * width)
        & (points[:, 1] > y - 0.15 * height)
        & (points[:, 1] < y + 1.15 * height)
    )
    across = points[1] - points[0]
    down = points[3:].mean(axis=0) - points[:2].mean(axis=0)
    upright = across[0] * down[1] - across[1] * down[0] > 0  # not mirrored
    return bool(inside.all() and upright and np.hypot(*down) > 0.15 * height)
