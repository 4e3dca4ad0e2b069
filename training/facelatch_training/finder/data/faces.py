"""Labelled pictures: photos, aligned crops and empty backgrounds, with a teacher's boxes and landmarks."""

from __future__ import annotations

import csv
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from facelatch.errors import InputError
from facelatch_training.finder.data.labels import Labels, iou, mirror, move, plausible
from facelatch_training.finder.recipe import Recipe, is_validation

Image = NDArray[np.uint8]

VIEWS = ((0.7, 0, False), (0.7, 7, True), (1.0, -7, False), (1.0, 0, True), (1.4, 7, False), (1.4, 0, True))
"""Scale, degrees and mirroring of the views in which labels are asked for again."""

SURE, DOUBTFUL = 0.8, 0.3
"""The teacher's scores from which a face is a label, and from which it is at least not a non-face."""

SOFT_BORDER = 24
"""Pixels about an aligned crop in which the teacher is asked for its label."""

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
        rows = self._net.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
        return np.zeros((0, 15), np.float32) if rows is None else np.asarray(rows, np.float32)


def load_photos(root: Path, teacher: Teacher, select: Callable[[str], bool] | None = None) -> list[Photo]:
    """The photos of `scenes.tar` with the labels of `scenes.csv`, checked by the teacher at twice the size.

    Only those for whose name `select` holds, where there is one: the teacher takes a tenth of a second for each.

    A label the teacher no longer sees at all, or that is not a plausible face, becomes a box to ignore;
    a sure face that had no label becomes one.
    """
    labels: dict[str, list[list[float]]] = defaultdict(list)
    with (root / "scenes" / "scenes.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            labels[row["image"]].append([float(row[column]) for column in _COLUMNS])
    photos = []
    for name, image in tqdm(read_tar(root / "scenes" / "scenes.tar"), desc="photos", unit="image"):
        if select is not None and not select(name):
            continue
        listed = np.array(labels[name], np.float32).reshape(-1, 14)
        twice = teacher.find(cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC))
        detected, scores = twice[:, :14] / 2, twice[:, 14]
        overlap = iou(listed[:, :4], detected[:, :4])
        confirmed = overlap.max(axis=1, initial=0) > 0.4
        keep = confirmed & np.array([plausible(face) for face in listed], bool)
        unlabelled = overlap.max(axis=0, initial=0) <= 0.4
        new = unlabelled & (scores >= SURE) & np.array([plausible(face) for face in detected], bool)
        faces = np.concatenate([listed[keep], detected[new]])
        ignore = np.concatenate([listed[~keep, :4], detected[unlabelled & ~new, :4]])
        photos.append(refine(Photo(name=name, image=image, faces=faces, ignore=ignore), teacher))
    return photos


def refine(photo: Photo, teacher: Teacher) -> Photo:
    """The same photo with boxes and landmarks averaged over turned, scaled and mirrored views.

    One answer of the teacher differs from another by several per cent; their mean is a better box. A face fewer
    than half of the views confirm becomes a box to ignore. Better landmarks are `steady`'s.
    """
    height, width = photo.image.shape[:2]
    sums = photo.faces.astype(np.float64)
    counts = np.ones(len(photo.faces))
    for scale, degrees, mirrored in VIEWS if len(photo.faces) else ():
        turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, scale)
        matrix = np.asarray(turn, np.float64)
        matrix[:, 2] += (scale - 1) * np.array([width, height]) / 2
        image = photo.image[:, ::-1] if mirrored else photo.image
        size = max(32, round(width * scale)), max(32, round(height * scale))
        view = np.asarray(cv2.warpAffine(image, matrix, size, flags=cv2.INTER_AREA), np.uint8)
        rows = move(teacher.find(view)[:, :14], np.asarray(cv2.invertAffineTransform(matrix), np.float64))
        rows = mirror(rows, width) if mirrored else rows
        overlap = iou(photo.faces[:, :4], rows[:, :4])
        for face in np.flatnonzero(overlap.max(axis=1, initial=0) > 0.4):
            sums[face] += rows[int(overlap[face].argmax())]
            counts[face] += 1
    kept = counts > len(VIEWS) / 2
    faces = (sums / counts[:, None]).astype(np.float32)
    return Photo(
        name=photo.name,
        image=photo.image,
        faces=faces[kept],
        ignore=np.concatenate([photo.ignore, faces[~kept, :4]]),
    )


def load_empty(root: Path) -> list[tuple[str, Image]]:
    """The backgrounds without faces."""
    return list(read_tar(root / "scenes" / "empty.tar"))


def load_sprites(root: Path, recipe: Recipe, teacher: Teacher) -> list[Photo]:
    """A seeded choice of aligned crops of training identities, labelled by the teacher."""
    rng = np.random.default_rng(recipe.seed)
    with (root / "faces" / "faces.csv").open(newline="") as file:
        listed = [row for row in csv.DictReader(file) if row["split"] == "train"]
    # How far a picture agrees with the others of its person; a set made by `prepare` does not say.
    rows = [row for row in listed if float(row.get("agreement") or 1) >= 0.35]
    chosen = {rows[i]["path"] for i in rng.permutation(len(rows))[: recipe.data.sprites]}
    shards = sorted({row["shard"] for row in rows})
    photos = []
    with tqdm(total=len(chosen), desc="crops", unit="image") as progress:
        for shard in shards:
            for name, crop in read_tar(root / "faces" / shard, chosen):
                progress.update()
                face = label_crop(crop, teacher)
                if face is not None:
                    photos.append(
                        Photo(
                            name=name,
                            image=crop,
                            faces=face[None],
                            ignore=np.zeros((0, 4), np.float32),
                        )
                    )
    return photos


def label_crop(crop: Image, teacher: Teacher) -> Labels | None:
    """The teacher's label (14,) of an aligned crop, seen on a blurred border; None when it is not sure."""
    soft = on_soft_border(crop)
    rows = teacher.find(soft)
    if not len(rows) or rows[0, 14] < SURE:
        return None
    face = rows[0, :14].copy()
    face[[0, 1, *range(4, 14)]] -= SOFT_BORDER
    centre = face[:2] + face[2:4] / 2
    return face if np.abs(centre - [56, 62]).max() < 16 and plausible(face) else None


def on_soft_border(crop: Image) -> Image:
    """A crop on its own blurred border: a detector finds no face that touches the edges."""
    border = SOFT_BORDER
    padded = cv2.copyMakeBorder(crop, border, border, border, border, cv2.BORDER_REPLICATE)
    soft = np.asarray(cv2.blur(padded, (31, 31)), np.uint8)
    soft[border:-border, border:-border] = crop
    return soft


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
