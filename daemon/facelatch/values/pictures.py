"""What a camera gives and what is found in it: frames, boxes, faces, poses."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""An RGB picture, (H, W, 3)."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture from a camera."""

    image: Image = field(repr=False)
    """The main stream, from which the face is cut."""
    search: Image = field(repr=False)
    """The same view, often smaller, in which the face is looked for. May be `image` itself."""
    captured: float
    """Monotonic seconds at which the camera delivered it."""
    number: int
    """Counts the frames of one camera from 0; gaps are frames nobody had time for."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels; may reach over the border of the picture."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One face that the finder saw in a picture: where, its landmarks, and how sure the finder is."""

    box: Box
    landmarks: NDArray[np.float32] = field(repr=False)
    """(5, 2) px: image-left eye, image-right eye, nose, image-left and image-right mouth corner."""
    score: float
    """The finder's confidence, 0 to 1."""
    turn: int = 0
    """Degrees, clockwise, by which the picture has to be turned for the face to stand upright: 0, 90, 180, 270."""


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a face points, estimated from five landmarks; all 0 when it looks straight at the camera."""

    yaw: float
    """-1 (towards image left) to 1: the nose's offset between the eyes as a share of half the eye distance."""
    pitch: float
    """-1 (up) to 1 (down): the nose's offset along the line from the eyes to the mouth."""
    roll: float
    """Degrees, clockwise."""
