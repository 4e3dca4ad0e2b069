"""Whether a picture of a face is good enough to judge: measures, and limits on them.

The line refuses with the reason; enrolment keeps only what passes. Brightness, contrast and sharpness
are measured on the aligned crop and only inside an ellipse from brow to chin, so that a bright window
behind a dark face does not pass for light on it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facelatch.config.line import QualityConfig
from facelatch.values.observations import Reason
from facelatch.values.pictures import Face, Image, Pose
from facelatch.vision.align import CROP_SIZE_PX, TEMPLATE, similarity_transform

_SHARPNESS_SIZE_PX = 40
"""Side to which a crop is reduced before its sharpness is measured: the detail a face 13 px between the
eyes still has. A small sharp face is not called blurred, and sensor noise averages out."""

_SECOND_DIFFERENCES = [
    np.array(kernel, dtype=np.float32)
    for kernel in (
        [[0, 0, 0], [1, -2, 1], [0, 0, 0]],
        [[0, 1, 0], [0, -2, 0], [0, 1, 0]],
        [[0.5, 0, 0], [0, -1, 0], [0, 0, 0.5]],
        [[0, 0, 0.5], [0, -1, 0], [0.5, 0, 0]],
    )
]
"""One per direction; the diagonal ones span sqrt(2) times as far, hence half the weight."""

_PROPORTION, _WIDEST_MOUTH, _BOX_MARGIN = (0.6, 2.5), 1.5, 0.1
"""Limits on the way from eyes to mouth in eye distances, on the mouth's width in such ways, and on how far landmarks
may leave the box, in its sides. In 842 photographs of upright faces: 0.91 to 1.84, at most 0.95, never."""

_OUTLINE = np.array([[22, 40], [90, 40], [24, 75], [88, 75], [40, 102], [72, 102]], dtype=np.float64)
"""Brows, cheeks and chin in the crop, px: what must lie within the picture."""

_MAX_OFFSET = 2.0
"""Pose offsets are clipped here; a face that far round is a profile."""


@dataclass(frozen=True, slots=True)
class Measures:
    """What can be said about one picture of a face before recognising it."""

    eye_distance_px: float
    """In the picture the crop was cut from. On a turned head the eyes close up; there it is what the
    distance from eyes to mouth would make it, so that the person is not told to come closer."""
    brightness: float
    """Mean grey, 0 to 255."""
    contrast: float
    """Standard deviation of the grey, 0 to 128."""
    sharpness: float
    """100 times the squared second difference over the grey's variance, in the direction where it is
    least, at 40x40 px. Neither light nor contrast changes it; defocus and motion lower it."""
    pose: Pose
    cut_off: bool
    """Whether brows, cheeks or chin lie outside the picture."""


def measure(frame_shape: tuple[int, ...], face: Face, crop: Image) -> Measures:
    """The measures of `face` in a picture of shape (H, W, ...) and of its aligned crop (112, 112, 3)."""
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_SHARPNESS_SIZE_PX, _SHARPNESS_SIZE_PX), interpolation=cv2.INTER_AREA)
    tones = small[_FACE_AREA].astype(np.float32)
    return Measures(
        eye_distance_px=_eye_distance(face.landmarks),
        brightness=float(tones.mean()),
        contrast=float(tones.std()),
        sharpness=_sharpness(small, float(tones.var())),
        pose=pose(face.landmarks),
        cut_off=_is_cut_off(frame_shape, face.landmarks),
    )


@dataclass(frozen=True, slots=True)
class Limit:
    """One measure beside what it may be."""

    name: str
    value: float
    least: float
    most: float
    reason: Reason
    """What is wrong when it does not pass."""

    @property
    def passes(self) -> bool:
        """Whether the measure is within its limits; what is no number is not."""
        return self.least <= self.value <= self.most


def against(measures: Measures, limits: QualityConfig) -> tuple[Limit, ...]:
    """Every measure beside its limits, what matters first.

    Where the face is comes before how it is held, that before the light, and sharpness last: each is
    only worth mending, or even measurable, once the ones before it are right.
    """
    turn, any_ = measures.pose, math.inf
    light = Reason.TOO_DARK if measures.brightness < limits.min_brightness else Reason.TOO_BRIGHT
    rows = (
        ("cut_off", float(measures.cut_off), -any_, 0.0, Reason.CUT_OFF),
        ("eye_distance_px", measures.eye_distance_px, limits.min_eye_distance_px, any_, Reason.TOO_SMALL),
        ("yaw", turn.yaw, -limits.max_yaw, limits.max_yaw, Reason.TURNED_AWAY),
        ("pitch", turn.pitch, -limits.max_pitch, limits.max_pitch, Reason.TURNED_AWAY),
        ("roll", turn.roll, -limits.max_roll_degrees, limits.max_roll_degrees, Reason.TURNED_AWAY),
        ("brightness", measures.brightness, limits.min_brightness, limits.max_brightness, light),
        ("contrast", measures.contrast, limits.min_contrast, any_, Reason.LOW_CONTRAST),
        ("sharpness", measures.sharpness, limits.min_sharpness, any_, Reason.BLURRED),
    )
    return tuple(
        Limit(name=name, value=value, least=least, most=most, reason=reason)
        for name, value, least, most, reason in rows
    )


def judge(measures: Measures, limits: QualityConfig) -> Reason | None:
    """The first thing a person should change, or None when the picture will do."""
    return next((one.reason for one in against(measures, limits) if not one.passes), None)


def is_plausible(face: Face) -> bool:
    """Whether the landmarks can be those of a face: in order, in proportion, and within its box.

    Pose is blind to a mirrored face (mouth above the eyes), and a network may place five points anywhere.
    """
    points, box = face.landmarks.astype(np.float64), face.box
    if not np.isfinite(points).all():
        return False
    half_eyes, down, _ = _face_axes(face.landmarks)
    mouth = points[4] - points[3]
    across, along = float(np.hypot(*half_eyes)) * 2, float(np.hypot(*down))
    in_order = half_eyes[0] * down[1] - half_eyes[1] * down[0] > 0 and float(mouth @ half_eyes) > 0
    in_proportion = (
        _PROPORTION[0] * across <= along <= _PROPORTION[1] * across
        and float(np.hypot(*mouth)) <= _WIDEST_MOUTH * along
    )
    margin = _BOX_MARGIN * max(box.width, box.height)
    low, high = (box.x - margin, box.y - margin), (box.x + box.width + margin, box.y + box.height + margin)
    return bool(in_order and in_proportion and (points >= low).all() and (points <= high).all())


def pose(landmarks: NDArray[np.float32]) -> Pose:
    """Where the face points, from its landmarks (5, 2). Offsets are clipped to 2; no landmarks make it raise.

    The nose is placed in the skewed frame that half the line between the eyes and the line from the
    eyes to the mouth span, so that tilting the head changes neither yaw nor pitch.
    """
    if not np.isfinite(landmarks).all():
        return Pose(_MAX_OFFSET, _MAX_OFFSET, 180.0)
    half_eyes, down, nose = _face_axes(landmarks)
    roll = math.degrees(math.atan2(half_eyes[1], half_eyes[0]))
    area = half_eyes[0] * down[1] - half_eyes[1] * down[0]
    if abs(area) < 1e-6:
        return Pose(_MAX_OFFSET, _MAX_OFFSET, roll)
    across = (nose[0] * down[1] - nose[1] * down[0]) / area
    along = (half_eyes[0] * nose[1] - half_eyes[1] * nose[0]) / area
    yaw, pitch = across - _STRAIGHT[0], 2 * (along - _STRAIGHT[1])
    return Pose(_clipped(yaw), _clipped(pitch), roll)


def _face_axes(landmarks: NDArray[np.float32]) -> tuple[NDArray[np.float64], ...]:
    """From the middle of the eyes: to the image-right eye, to the middle of the mouth, to the nose."""
    points = landmarks.astype(np.float64)
    with np.errstate(invalid="ignore"):  # infinite landmarks give NaN, which no limit lets pass
        middle = (points[0] + points[1]) / 2
        return (points[1] - points[0]) / 2, (points[3] + points[4]) / 2 - middle, points[2] - middle


def _nose_of_a_straight_face() -> tuple[float, float]:
    half_eyes, down, nose = _face_axes(TEMPLATE)
    across, along = np.linalg.solve(np.stack([half_eyes, down], axis=1), nose)
    return float(across), float(along)


def _face_area() -> NDArray[np.bool_]:
    """(40, 40): True from brow to chin and from cheek to cheek."""
    mask = np.zeros((CROP_SIZE_PX, CROP_SIZE_PX), dtype=np.uint8)
    cv2.ellipse(mask, (56, 70), (34, 44), 0, 0, 360, (1,), cv2.FILLED)
    area = cv2.resize(mask, (_SHARPNESS_SIZE_PX, _SHARPNESS_SIZE_PX), interpolation=cv2.INTER_NEAREST) > 0
    area[[0, -1]] = False  # no second difference at the border
    return np.asarray(area, dtype=np.bool_)


_STRAIGHT = _nose_of_a_straight_face()
_FACE_AREA = _face_area()


def _clipped(offset: float) -> float:
    return float(min(max(offset, -_MAX_OFFSET), _MAX_OFFSET))


def _eye_distance(landmarks: NDArray[np.float32]) -> float:
    half_eyes, down, _ = _face_axes(landmarks)
    template_half_eyes, template_down, _ = _face_axes(TEMPLATE)
    proportion = np.hypot(*template_half_eyes) / np.hypot(*template_down)
    return float(2 * max(np.hypot(*half_eyes), np.hypot(*down) * proportion))


def _sharpness(small: cv2.typing.MatLike, variance: float) -> float:
    energies = [
        float(np.mean(np.square(cv2.filter2D(small, cv2.CV_32F, kernel)[_FACE_AREA])))
        for kernel in _SECOND_DIFFERENCES
    ]
    return 100 * min(energies) / (variance + 1)  # + 1: a flat crop has no detail, not infinitely much


def _is_cut_off(frame_shape: tuple[int, ...], landmarks: NDArray[np.float32]) -> bool:
    transform = similarity_transform(landmarks)
    if transform is None:
        return False  # no face at all; align says so
    points = cv2.transform(_OUTLINE[None], cv2.invertAffineTransform(transform))[0]
    height, width = frame_shape[:2]
    return bool((points < 0).any() or (points > (width - 1, height - 1)).any())
