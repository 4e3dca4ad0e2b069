"""Drawn faces: a crop set of people who do not exist, for tests and first steps. A model of them opens no
door.
"""

from __future__ import annotations

import csv
import io
import tarfile
from pathlib import Path

import cv2
import numpy as np

from facelatch.vision.align import TEMPLATE
from facelatch_training.data.crops import CROP_SIZE, CropArray


def draw_person(person: int, picture: int, seed: int = 0) -> CropArray:
    """Picture number `picture` of drawn person number `person`, aligned: RGB uint8 (112, 112, 3)."""
    who = np.random.default_rng([seed, person])
    now = np.random.default_rng([seed, person, picture])
    skin, hair, eye, lip, shirt = (_colour(who) for _ in range(5))
    canvas = np.full((CROP_SIZE, CROP_SIZE, 3), shirt, np.uint8)
    width, height = who.integers(34, 50), who.integers(46, 60)
    cv2.ellipse(canvas, (56, 62), (int(width), int(height)), 0, 0, 360, skin, -1, cv2.LINE_AA)
    cv2.rectangle(canvas, (0, 0), (CROP_SIZE, int(who.integers(12, 34))), hair, -1)
    size = int(who.integers(3, 9))
    for point in TEMPLATE[:2]:
        centre = (round(float(point[0])), round(float(point[1])))
        cv2.ellipse(canvas, centre, (size + 3, size), 0, 0, 360, (240, 240, 240), -1)
        cv2.circle(canvas, centre, max(size - 2, 2), eye, -1, cv2.LINE_AA)
    nose, left, right = (np.rint(point).astype(int) for point in TEMPLATE[2:])
    cv2.line(canvas, (int(nose[0]), 56), (int(nose[0]), int(nose[1])), hair, int(who.integers(1, 6)))
    cv2.line(
        canvas, (int(left[0]), int(left[1])), (int(right[0]), int(right[1])), lip, int(who.integers(2, 9))
    )
    light = now.uniform(0.75, 1.15) * canvas + now.normal(0, 6, canvas.shape)
    shift = np.array([[1, 0, now.normal(0, 1)], [0, 1, now.normal(0, 1)]], dtype=np.float32)
    picture_now = light.clip(0, 255).astype(np.uint8)
    return np.asarray(cv2.warpAffine(picture_now, shift, (CROP_SIZE, CROP_SIZE)), np.uint8)


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in rng.integers(0, 256, 3))
    return red, green, blue


def write_crop_set(folder: Path, people: int = 24, pictures: int = 4, seed: int = 0) -> Path:
    """Write a crop set of drawn people to `folder`: two shards, the last quarter or third of `people` for
    validation.

    Four of every eight people are a family, so that relatives occur; `people` is 16 or more. Returns the
    folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, str]] = []
    for shard in range(2):
        name = f"faces-{shard:02d}.tar"
        with tarfile.open(folder / name, "w") as archive:
            for person in range(shard, people, 2):
                family = person // 8
                identity = f"fF{family:04d}MID{person % 8}" if person % 8 < 4 else f"p{person:04d}"
                split = "train" if family < max(1, people * 3 // 32) else "validation"
                for picture in range(pictures):
                    path = f"{identity}/{picture:03d}.png"
                    _add(archive, path, draw_person(person, picture, seed))
                    rows.append({"path": path, "identity": identity, "split": split, "shard": name})
    with (folder / "faces.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, ["path", "identity", "split", "shard"])
        writer.writeheader()
        writer.writerows(rows)
    return folder


def _add(archive: tarfile.TarFile, path: str, crop: CropArray) -> None:
    data = cv2.imencode(".png", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR))[1].tobytes()
    about = tarfile.TarInfo(path)
    about.size = len(data)
    archive.addfile(about, io.BytesIO(data))
