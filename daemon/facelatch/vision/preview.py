"""What whoever aims the camera is shown of one frame: a small picture, and how far each measure is from its limit.

Nothing in here knows who is in the picture: no model that recognises is asked, and no verdict is looked at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facelatch.config.line import QualityConfig
from facelatch.values.observations import Reason
from facelatch.values.pictures import Face, Frame, Image
from facelatch.vision import quality
from facelatch.vision.align import align
from facelatch.vision.quality import Limit

WIDTH_PX, HEIGHT_PX = 320, 240
"""A picture is at most that large."""

MOST_BYTES = 48 * 1024

_QUALITIES = (70, 45, 20)
"""Of the JPEG; each is tried when the one before came out too large."""

_GOOD, _BAD = (60, 220, 90), (255, 170, 0)


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One look."""

    jpeg: bytes = field(repr=False)
    """Empty where even the coarsest picture is too large."""
    values: dict[str, Any]
    """JSON: size, reason, box, landmarks, limits, reach."""


def shown(frame: Frame, face: Face | None, reason: Reason | None, limits: QualityConfig) -> Shown:
    """What is to be seen of `frame`, in which `face` was found. `reason`: why the line does not judge it.

    Never raises for a picture. Box and landmarks are in pixels of the small picture.
    """
    picture, scale = _reduced(frame)
    found = measured(frame.image, face, limits) if face is not None and not face.turn else ()
    values: dict[str, Any] = {
        "size": [picture.shape[1], picture.shape[0]],
        "reason": reason.value if reason is not None else None,
        "box": None,
        "landmarks": [],
        "limits": [_row(one) for one in found],
        "reach": next((_reach(one) for one in found if one.name == "eye_distance_px"), None),
    }
    if face is not None and np.isfinite(face.landmarks).all():
        box = np.array([face.box.x, face.box.y, face.box.width, face.box.height]) * scale
        points = face.landmarks * scale
        values |= {"box": _rounded(box), "landmarks": [_rounded(point) for point in points]}
        _draw(picture, box, points, _GOOD if reason is None else _BAD)
    return Shown(jpeg=_encoded(picture), values=values)


def measured(image: Image, face: Face, limits: QualityConfig) -> tuple[Limit, ...]:
    """Every measure of an upright face beside its limits; empty where its landmarks are those of no face."""
    crop = align(image, face.landmarks)
    return quality.against(quality.measure(image.shape, face, crop), limits) if crop is not None else ()


def _reduced(frame: Frame) -> tuple[Image, float]:
    """A small copy of the frame, and what to multiply pixels of the large picture by."""
    height, width = frame.search.shape[:2]
    factor = min(WIDTH_PX / width, HEIGHT_PX / height, 1.0)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    small = cv2.resize(frame.search, size, interpolation=cv2.INTER_AREA) if factor < 1 else frame.search.copy()
    return np.ascontiguousarray(small, dtype=np.uint8), size[0] / frame.image.shape[1]


def _draw(picture: Image, box: NDArray[np.float64], points: NDArray[np.float32], colour: tuple[int, int, int]) -> None:
    limit = 4.0 * max(picture.shape)
    x, y, width, height = (int(value) for value in np.clip(np.nan_to_num(box), -limit, limit))
    cv2.rectangle(picture, (x, y), (x + width, y + height), colour, 2)
    for across, down in np.clip(points, -limit, limit):
        cv2.circle(picture, (int(across), int(down)), 2, colour, cv2.FILLED)


def _encoded(picture: Image) -> bytes:
    swapped = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    for number in _QUALITIES:
        done, data = cv2.imencode(".jpg", swapped, (cv2.IMWRITE_JPEG_QUALITY, number))
        if done and len(data) <= MOST_BYTES:
            return data.tobytes()
    return b""


def _row(limit: Limit) -> dict[str, Any]:
    return {
        "name": limit.name,
        "value": _number(limit.value),
        "least": _number(limit.least),
        "most": _number(limit.most),
        "passes": limit.passes,
        "reason": None if limit.passes else limit.reason.value,
    }


def _reach(limit: Limit) -> float | None:
    """How many times as far away the face would just be large enough."""
    return _number(limit.value / limit.least) if limit.least > 0 else None


def _number(value: float) -> float | None:
    return round(float(value), 3) if math.isfinite(value) else None


def _rounded(values: NDArray[Any]) -> list[float]:
    return [round(float(value), 1) if math.isfinite(value) else 0.0 for value in values]
