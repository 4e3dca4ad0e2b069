"""Recall by face size at given false-face rates, landmark errors and speed, ours and its peers in one run."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from facelatch.vision.letterbox import letterbox
from facelatch_training.finder.data.faces import SURE, Image, Photo, Teacher, read_tar, refine
from facelatch_training.finder.data.labels import Labels, iou, move, move_boxes
from facelatch_training.finder.data.steady import steadied
from facelatch_training.finder.judge.landmark_figures import SIZE_BINS, agreement, landmark_error, matched
from facelatch_training.finder.judge.peers import FindRows
from facelatch_training.finder.recipe import SIZES

FALSE_PER_IMAGE = (0.01, 0.1, 1.0)
_HIT = 0.5  # intersection over union from which a find is the face


def whole_views(photos: Sequence[Photo]) -> list[Photo]:
    """Each photo letterboxed to 320x240, as a camera would show it."""
    views = []
    for photo in photos:
        boxed = letterbox(photo.image, SIZES[0])
        views.append(_moved(photo, boxed.image, boxed.scale[0], boxed.offset))
    return views


def small_views(photos: Sequence[Photo], empty: Sequence[Image], seed: int) -> list[Photo]:
    """Each photo reduced until its largest face has a side of 24 to 80 px, on a background."""
    rng = np.random.default_rng(seed)
    width, height = SIZES[0]
    views = []
    for photo in photos:
        if not len(photo.faces):
            continue
        side = float(np.sqrt(np.prod(photo.faces[:, 2:4], axis=1)).max())
        scale = float(np.exp(rng.uniform(np.log(24), np.log(80)))) / side
        scale = min(scale, width / photo.image.shape[1], height / photo.image.shape[0])
        small = cv2.resize(photo.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        canvas = np.asarray(cv2.resize(empty[int(rng.integers(len(empty)))], SIZES[0]), np.uint8).copy()
        x = int(rng.integers(0, width - small.shape[1] + 1))
        y = int(rng.integers(0, height - small.shape[0] + 1))
        canvas[y : y + small.shape[0], x : x + small.shape[1]] = small
        ratio = photo.image.shape[1] / small.shape[1]
        views.append(_moved(photo, canvas, ratio, (ratio / 2 - 0.5 - x * ratio, ratio / 2 - 0.5 - y * ratio)))
    return views


def clip_views(path: Path, teacher: Teacher) -> list[Photo]:
    """Frames of `clips.tar` letterboxed to 320x240; the truth is the teacher's, made steady."""
    photos = []
    for name, image in tqdm(read_tar(path), desc="clips", unit="image"):
        rows = teacher.find(cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC))
        sure = rows[:, 14] >= SURE
        photo = refine(
            Photo(
                name=name,
                image=image,
                faces=rows[sure, :14] / 2,
                ignore=rows[~sure, :4] / 2,
            ),
            teacher,
        )
        photos.append(steadied(photo, teacher))
    return whole_views(photos)


def empty_views(images: Sequence[Image]) -> list[Photo]:
    """Backgrounds without faces."""
    none = np.zeros((0, 14), np.float32)
    return whole_views(
        [
            Photo(
                name="empty",
                image=image,
                faces=none,
                ignore=none[:, :4],
            )
            for image in images
        ]
    )


def compare(
    finders: Mapping[str, FindRows],
    views: Sequence[Photo],
    truths: Mapping[str, Sequence[Photo]] | None = None,
) -> dict[str, Any]:
    """Figures of each finder on the same pictures; landmark errors also against other truths of these."""
    finds: dict[str, list[Labels]] = {name: [] for name in finders}
    for view in tqdm(views, desc="finding", unit="image"):
        for name, find in finders.items():
            finds[name].append(find(view.image))
    report = {name: figures(views, finds[name]) for name in finders}
    for name in finders if truths else ():
        if "nme_percent" in report[name]:
            threshold = report[name]["threshold"]["0.1"]
            report[name]["landmarks"] = {
                truth: landmark_figures(photos, finds[name], threshold)
                for truth, photos in (truths or {}).items()
            }
    return report


def timing(finders: Mapping[str, FindRows], views: Sequence[Photo]) -> dict[str, Any]:
    """Median milliseconds of processor time per picture, decoding included, and the ratio to YuNet.

    Processor time of one thread, with the finders in turn on each picture: on a busy machine the clock
    on the wall measures the others.
    """
    seconds: dict[str, list[float]] = {name: [] for name in finders}
    for view in views:
        for name, find in finders.items():
            find(view.image)  # the others have had the caches
            begin = time.process_time()
            find(view.image)
            seconds[name].append(time.process_time() - begin)
    medians = {name: 1000 * float(np.median(times)) for name, times in seconds.items()}
    return {
        name: {"median_ms": round(ms, 3), "of_yunet": round(ms / medians["yunet"], 3)}
        for name, ms in medians.items()
    }


def figures(views: Sequence[Photo], finds: Sequence[Labels]) -> dict[str, Any]:
    """Recall, thresholds and landmark errors of one finder.

    A find is false when it is no face's first and overlaps nothing doubtful. The threshold for a rate is the
    lowest score that keeps the false faces at or below it.
    """
    false: list[float] = []
    hits: list[tuple[float, float, float]] = []  # side of the face, score of its find, landmark error
    for view, rows in zip(views, finds, strict=True):
        pairs, strays = match(view, rows)
        false.extend(rows[strays, 14].tolist())
        sides = np.sqrt(np.prod(view.faces[:, 2:4], axis=1))
        for index, side in enumerate(sides):
            row = pairs.get(index)
            hits.append((float(side), -np.inf, np.nan) if row is None else (
                float(side), float(rows[row, 14]), landmark_error(rows[row, 4:14], view.faces[index, 4:14])
            ))  # fmt: skip
    table = np.array(hits).reshape(-1, 3)
    result: dict[str, Any] = {"images": len(views), "faces": {}, "recall": {}, "threshold": {}}
    for rate in FALSE_PER_IMAGE:
        result["threshold"][str(rate)] = _threshold(false, int(rate * len(views)))
    for low, high in SIZE_BINS:
        inside = table[(table[:, 0] >= low) & (table[:, 0] < high)]
        key = f"{low}+" if high >= 1000 else f"{low}-{high}"
        result["faces"][key] = len(inside)
        if len(inside):
            result["recall"][key] = {
                rate: round(float(np.mean(inside[:, 1] > threshold)), 4)
                for rate, threshold in result["threshold"].items()
            }
    errors = table[(table[:, 1] > result["threshold"]["0.1"]) & (table[:, 0] >= SIZE_BINS[0][0]), 2]
    errors = errors[np.isfinite(errors)]
    if len(errors):
        result["nme_percent"] = {
            "mean": round(100 * float(errors.mean()), 2),
            "median": round(100 * float(np.median(errors)), 2),
            "p95": round(100 * float(np.percentile(errors, 95)), 2),
        }
    return result


def match(view: Photo, rows: Labels) -> tuple[dict[int, int], list[int]]:
    """Face number -> row of its best find, and the rows that are false. Rows come best first."""
    overlap = iou(rows[:, :4], view.faces[:, :4])
    # A find may cover a doubtful region only in part, so little overlap will do there.
    doubtful = iou(rows[:, :4], view.ignore).max(axis=1, initial=0) > 0.2
    pairs: dict[int, int] = {}
    strays = []
    for row in range(len(rows)):
        order = np.argsort(-overlap[row])
        face = next((int(f) for f in order if overlap[row, f] >= _HIT and int(f) not in pairs), None)
        if face is not None:
            pairs[face] = row
        elif not doubtful[row] and not _tiny(rows[row]):
            strays.append(row)
    return pairs, strays


def landmark_figures(views: Sequence[Photo], finds: Sequence[Labels], threshold: float) -> dict[str, Any]:
    """Agreement of the landmarks found with those of the views, over all faces that count as found."""
    pairs = [match(view, rows)[0] for view, rows in zip(views, finds, strict=True)]
    return agreement(*matched(views, finds, pairs, threshold))


def _tiny(row: Labels) -> bool:
    """Whether a find is smaller than the faces that are labelled reliably."""
    return float(np.sqrt(max(0.0, row[2] * row[3]))) < 16


def _threshold(false: list[float], allowed: int) -> float:
    ranked = sorted(false, reverse=True)
    return float(ranked[allowed]) if allowed < len(ranked) else 0.0


def _moved(photo: Photo, image: Image, scale: float, offset: tuple[float, float]) -> Photo:
    """The photo's labels in a picture whose pixels lie at `scale` times theirs plus `offset`."""
    matrix = np.array([[1 / scale, 0, -offset[0] / scale], [0, 1 / scale, -offset[1] / scale]])
    return Photo(
        name=photo.name,
        image=image,
        faces=move(photo.faces, matrix),
        ignore=move_boxes(photo.ignore, matrix),
    )
