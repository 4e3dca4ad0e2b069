"""Which way up a face stands, told by the finder itself: it is surest of a face that stands upright.

A finder takes some turned faces for upright ones and puts upright landmarks onto them; what the model makes of such
crops is alike for everybody. But it is less sure of them: of turned faces in ordinary photographs the median score is
0.76 to 0.83, and 0.99 once the picture is turned upright. So the region of the face is looked at turned by each
quarter as well, and the best score says how it stands.
"""

from __future__ import annotations

import math

import numpy as np

from facelatch.ports import FaceFinder
from facelatch.values.pictures import Box, Face, Image
from facelatch.vision.turn import QUARTERS, turned

REGION_SIDES = (1.6, 2.0)
"""Sides of the square that is looked at, in sides of the face; the second only where the first leaves a doubt."""

DOUBT = 0.1
"""A lead by less in score is a doubt. In 900 photographs, turned by all four quarters, every upright face was told, and
of the turned ones 98.4 % or more, at three looks for most faces and seven for one in eight."""


def turn_of(finder: FaceFinder, image: Image, face: Face) -> int:
    """The degrees clockwise by which `image` (H, W, 3) would have to be turned for `face` to stand upright.

    A finder that knows no turned faces never finds one, and says 0.
    """
    region = _square(image, face.box, REGION_SIDES[0])
    scores = np.array([face.score, *(_best_score(finder, region, degrees) for degrees in QUARTERS[1:])])
    if abs(scores[0] - scores[1:].max()) < DOUBT:
        region = _square(image, face.box, REGION_SIDES[1])
        scores += [_best_score(finder, region, degrees) for degrees in QUARTERS]
    return QUARTERS[int(scores.argmax())]


def turn_of_picture(finder: FaceFinder, image: Image) -> int | None:
    """The same for a whole picture in which a face may be hard to find as it hangs; None when there is none."""
    found = {degrees: finder.find(turned(image, degrees)) for degrees in QUARTERS}
    best = max(QUARTERS, key=lambda degrees: max((face.score for face in found[degrees]), default=0.0))
    if not found[best]:
        return None
    upright = turned(image, best)
    face = max(found[best], key=lambda one: one.score)
    return (best + turn_of(finder, upright, face)) % 360


def _best_score(finder: FaceFinder, region: Image, degrees: int) -> float:
    picture = turned(region, degrees)
    everywhere = Box(0.0, 0.0, picture.shape[1], picture.shape[0])
    return max((face.score for face in finder.find_near(picture, everywhere)), default=0.0)


def _square(image: Image, box: Box, sides: float) -> Image:
    """The part of `image` about `box`, at least one pixel of it, as little as there is at the border."""
    height, width = image.shape[:2]
    half = max(box.width, box.height) * sides / 2
    x, y = box.x + box.width / 2, box.y + box.height / 2
    left, top = min(max(0, math.floor(x - half)), width - 1), min(max(0, math.floor(y - half)), height - 1)
    right, bottom = max(left + 1, math.ceil(x + half)), max(top + 1, math.ceil(y + half))
    return image[top:bottom, left:right]
