"""How well landmarks agree with a truth: by size of the face, and how much of a turn of the head they show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from facelatch.vision.quality import pose
from facelatch_training.finder.data.faces import Photo, Teacher
from facelatch_training.finder.data.labels import Labels, iou

SIZE_BINS = ((24, 40), (40, 80), (80, 1000))
"""Faces by the geometric mean of their box's sides in the 320x240 picture, px."""


def single_answers(photo: Photo, teacher: Teacher) -> Photo:
    """The photo with the landmarks of one answer of the teacher; a face it does not see has none (NaN)."""
    rows = teacher.find(photo.image)
    faces = photo.faces.copy()
    overlap = iou(faces[:, :4], rows[:, :4])
    for face, shared in zip(faces, overlap, strict=True):
        seen = shared.max(initial=0) > 0.4
        face[4:14] = rows[int(shared.argmax()), 4:14] if seen else np.nan
    return Photo(name=photo.name, image=photo.image, faces=faces, ignore=photo.ignore)


def agreement(sides: Labels, landmarks: Labels, truth: Labels) -> dict[str, Any]:
    """Landmarks (N, 10) found against the true ones, with the faces' sides (N,)."""
    usable = np.isfinite(truth).all(axis=1) & (sides >= SIZE_BINS[0][0])
    sides, landmarks, truth = sides[usable], landmarks[usable], truth[usable]
    if len(sides) < 2:
        return {}
    errors = np.array([landmark_error(*pair) for pair in zip(landmarks, truth, strict=True)])
    by_size = {}
    for low, high in SIZE_BINS:
        inside = errors[(sides >= low) & (sides < high)]
        if len(inside):
            by_size[f"{low}+" if high >= 1000 else f"{low}-{high}"] = _summary(inside)
    ours, theirs = (np.array([_turns(points) for points in rows]) for rows in (landmarks, truth))
    slopes = {
        name: round(float(np.polyfit(theirs[:, axis], ours[:, axis], 1)[0]), 2)
        for axis, name in enumerate(("yaw", "pitch", "roll"))
    }
    return {"nme_percent": {**_summary(errors), "by_size": by_size}, "slope": slopes}


def landmark_error(landmarks: Labels, truth: Labels) -> float:
    """Mean distance of the five landmarks as a share of the true eye distance (NME)."""
    one, other = landmarks.reshape(5, 2), truth.reshape(5, 2)
    eyes = math.hypot(*(other[0] - other[1]))
    return float(np.mean(np.hypot(*(one - other).T)) / max(eyes, 1e-3))


def matched(
    views: Sequence[Photo], finds: Sequence[Labels], pairs: Sequence[dict[int, int]], least: float
) -> tuple[Labels, Labels, Labels]:
    """Sides (N,), landmarks found and true ones (N, 10) of all faces found with a score above `least`."""
    rows = [
        (view.faces[face], lines[row])
        for view, lines, pair in zip(views, finds, pairs, strict=True)
        for face, row in pair.items()
        if lines[row, 14] > least
    ]
    true, ours = (np.array([row[end] for row in rows], np.float32).reshape(len(rows), -1) for end in (0, 1))
    if not rows:
        return np.zeros(0, np.float32), np.zeros((0, 10), np.float32), np.zeros((0, 10), np.float32)
    return np.sqrt(true[:, 2] * true[:, 3]), ours[:, 4:14], true[:, 4:14]


def _summary(errors: Labels) -> dict[str, float]:
    return {"mean": round(100 * float(errors.mean()), 2), "median": round(100 * float(np.median(errors)), 2)}


def _turns(points: Labels) -> tuple[float, float, float]:
    head = pose(points.reshape(5, 2))
    return head.yaw, head.pitch, head.roll
