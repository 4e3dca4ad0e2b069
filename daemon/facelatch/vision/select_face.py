"""Many faces to the one to judge, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence

from facelatch.values.observations import NoFace, SeveralFaces
from facelatch.values.pictures import Box, Face


def select(faces: Sequence[Face], similar_size_ratio: float) -> Face | NoFace | SeveralFaces:
    """The largest face, whoever stands nearest; nobody when a second one is nearly as large.

    Two faces are of similar size when the smaller is at least `similar_size_ratio` times as large as the
    larger, by the geometric mean of the box's sides. The order of `faces` does not matter.
    """
    sized = sorted(((_size(face.box), face) for face in faces), key=lambda pair: pair[0], reverse=True)
    sized = [(size, face) for size, face in sized if size > 0]
    if not sized:
        return NoFace()
    largest = sized[0][0]
    rivals = sum(size >= similar_size_ratio * largest for size, _ in sized)
    return sized[0][1] if rivals == 1 else SeveralFaces(count=rivals)


def _size(box: Box) -> float:
    """Pixels; 0 for a box that is none."""
    if not all(map(math.isfinite, (box.x, box.y, box.width, box.height))):
        return 0.0
    return math.sqrt(max(box.width, 0.0) * max(box.height, 0.0))
