"""Steadier landmarks than one answer of the teacher: the mean of many, with the face upright and at a good size.

YuNet follows a turn of the head by a third to a half only: a face turned by 25 degrees gets landmarks turned by
about 8 (eyes) to 13 (eyes to mouth). It favours one side in the mirror, and each answer is off by several per cent
of the eye distance. So the picture is turned until the teacher calls the face upright, and then its answers in
shifted, scaled and mirrored views are averaged.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from facelatch.vision.align import similarity_transform
from facelatch.vision.finder_refine import mirrored_points
from facelatch_training.finder.data.faces import SOFT_BORDER, Image, Photo, Teacher, on_soft_border
from facelatch_training.finder.data.labels import Labels, iou, move
from facelatch_training.finder.data.scenes import reduced

_SIDE = 128
_FACE_PX = 72.0
_TURNS = 2
_STEP = 2.2  # of what the teacher still sees of a turn: it sees less than half
_VIEWS = ((0.85, 2, 0), (0.95, 0, 2), (1.06, -2, 1), (1.2, 0, -2))
"""Scale and shift px of the views that are averaged, each as it is and mirrored."""


def steadied(photo: Photo, teacher: Teacher) -> Photo:
    """The same photo with steady landmarks; a face not seen in half of its views keeps those it has."""
    faces = photo.faces.copy()
    for face in faces:
        points = steady(photo.image, face, teacher)
        if points is not None:
            face[4:14] = points.reshape(-1)
    return Photo(name=photo.name, image=photo.image, faces=faces, ignore=photo.ignore)


def steadied_crop(sprite: Photo, teacher: Teacher) -> Photo:
    """The same for an aligned crop, which has no surroundings of its own."""
    border = np.array([[1.0, 0, SOFT_BORDER], [0, 1.0, SOFT_BORDER]])
    wide = Photo(
        name=sprite.name,
        image=on_soft_border(sprite.image),
        faces=move(sprite.faces, border),
        ignore=sprite.ignore,
    )
    faces = move(steadied(wide, teacher).faces, cv2.invertAffineTransform(border).astype(np.float64))
    return Photo(name=sprite.name, image=sprite.image, faces=faces, ignore=sprite.ignore)


def steady(image: Image, face: Labels, teacher: Teacher) -> Labels | None:
    """Landmarks (5, 2) of one face, or None when the teacher does not see it in most of the views."""
    roll = 0.0
    for _ in range(_TURNS):
        answers = _answers(image, face, roll, ((1.0, 0, 0),), teacher)
        if not answers:
            return None
        roll += _STEP * (_roll(np.mean(answers, axis=0)) - roll)
        roll = max(-70.0, min(70.0, roll))
    answers = _answers(image, face, roll, _VIEWS, teacher)
    return np.asarray(np.mean(answers, axis=0), np.float32) if len(answers) > len(_VIEWS) else None


def _answers(
    image: Image, face: Labels, roll: float, views: tuple[tuple[float, int, int], ...], teacher: Teacher
) -> list[NDArray[np.float64]]:
    """The teacher's landmarks (5, 2) in pixels of `image`, in each view in which it sees the face."""
    centre, side = face[:2] + face[2:4] / 2, float(np.sqrt(face[2] * face[3]))
    answers = []
    for zoom, right, down in views:
        scale = zoom * _FACE_PX / side
        matrix = cv2.getRotationMatrix2D((float(centre[0]), float(centre[1])), roll, scale).astype(np.float64)
        matrix[:, 2] += np.array([right, down]) + (_SIDE - 1) / 2 - centre
        view = _warped(image, matrix, scale)
        expected = np.array([[*((_SIDE - _FACE_PX * zoom) / 2 + np.array([right, down])), _FACE_PX * zoom]])
        expected = np.concatenate([expected, expected[:, 2:]], axis=1).astype(np.float32)
        back = cv2.invertAffineTransform(matrix)
        for mirror in (False, True):
            shown = np.ascontiguousarray(view[:, ::-1]) if mirror else view
            rows = teacher.find(shown)
            points = rows[:, 4:14].reshape(-1, 5, 2)
            boxes = rows[:, :4].copy()
            if mirror:
                points, boxes[:, 0] = mirrored_points(points, _SIDE), _SIDE - boxes[:, 0] - boxes[:, 2]
            overlap = iou(expected, boxes)[0] if len(rows) else np.zeros(0)
            if overlap.max(initial=0) > 0.35:
                answers.append(points[int(overlap.argmax())] @ back[:, :2].T + back[:, 2])
    return answers


def _warped(image: Image, matrix: NDArray[np.float64], scale: float) -> Image:
    """The view, reduced by area first where the face is much larger than wanted."""
    if scale < 0.7:
        image, matrix = reduced(image, matrix, scale)
    view = cv2.warpAffine(image, matrix, (_SIDE, _SIDE), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(view, np.uint8)


def _roll(points: NDArray[np.float64]) -> float:
    """Degrees by which landmarks are turned against the template."""
    transform = similarity_transform(points.astype(np.float32))
    return 0.0 if transform is None else -math.degrees(math.atan2(transform[1, 0], transform[0, 0]))
