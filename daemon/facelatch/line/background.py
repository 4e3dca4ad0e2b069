"""Faces that have had their visit and have not moved since: a portrait, a poster, or somebody who stands quite still.

Such a face is counted once. Until it moves it is background: not judged again, and no second face beside a visitor. The
box of a picture that hangs still, seen through the finder with sensor noise, stays within 2.2 % of its height and 6 %
of its size (8 made faces in 3 sizes, 60 frames each); whoever lives and waits moves further within seconds. Somebody
who was in view beside it and now covers it is not that face moving: it is background again as soon as it is uncovered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from facelatch.values.pictures import Box, Face

MOVED_SHARE, RESIZED_SHARE, TURNED_SHARE = 0.05, 0.10, 0.08
"""From which way of its middle, change of its height and way of a landmark, in heights of the box, a face has moved:
whoever stands still but turns the head is no picture.
"""
GONE_SECONDS = 3.0
"""Not found where it was for this long, a face is gone: the whole picture is searched once a second at least."""
POSTER_SECONDS = 60.0
"""A face that has hung still for this long is worth a word to the owner."""
STILL_FACE_HINT = "a poster, a portrait or a screen? Turn the camera or take it down; it is ignored until it moves"
MOST_FACES = 8
BESIDE_SECONDS = 1.0
"""Whoever was seen beside a still face so recently is who covers it now."""


@dataclass(frozen=True, slots=True, eq=False)
class Still:
    """One face of the background."""

    track: int
    """Whose visit it was; 0 when it was never judged."""
    face: Face
    since: float
    """When its visit ended, monotonic seconds."""
    seen: float


@dataclass(frozen=True, slots=True)
class Background:
    """All of them."""

    faces: tuple[Still, ...] = ()
    beside: tuple[Box, ...] = ()
    """Where the faces that are none of them were seen last."""
    beside_at: float = 0.0

    @property
    def tracks(self) -> frozenset[int]:
        """The visitors among them who are in view."""
        return frozenset(still.track for still in self.faces)

    @property
    def posters(self) -> int:
        """How many have hung still for POSTER_SECONDS."""
        return sum(still.seen - still.since >= POSTER_SECONDS for still in self.faces)


def retire(background: Background, face: Face, track: int, now: float) -> Background:
    """The background with a face whose visit has just ended."""
    still = Still(track=track, face=face, since=now, seen=now)
    others = tuple(box for box in background.beside if not _overlaps(box, face.box))
    return replace(background, faces=(*background.faces, still)[-MOST_FACES:], beside=others)


def hide(background: Background, faces: Sequence[Face], now: float) -> tuple[list[Face], Background]:
    """The faces that are no background (px of the same picture), and what is still background after this frame."""
    beside = background.beside if now - background.beside_at <= BESIDE_SECONDS else ()
    kept, hidden = [], []
    for still in background.faces:
        near = [face for face in faces if _overlaps(still.face.box, face.box)]
        here = [face for face in near if is_still(still.face, face)]
        hidden += here
        covered = near and all(any(_overlaps(box, face.box) for box in beside) for face in near)
        if here or covered:
            kept.append(replace(still, seen=now))
        elif not near and now - still.seen <= GONE_SECONDS:
            kept.append(still)
    shown = [face for face in faces if face not in hidden]
    if not shown:
        return shown, replace(background, faces=tuple(kept))
    return shown, Background(faces=tuple(kept), beside=tuple(face.box for face in shown), beside_at=now)


def is_still(before: Face, after: Face) -> bool:
    """Whether a face has neither moved nor turned since it was seen as `before`."""
    one, other = before.box, after.box
    across = abs((other.x + other.width / 2) - (one.x + one.width / 2))
    down = abs((other.y + other.height / 2) - (one.y + one.height / 2))
    resized = abs(other.height - one.height)
    if max(across, down) > MOVED_SHARE * one.height or resized > RESIZED_SHARE * one.height:
        return False
    return float(np.abs(after.landmarks - before.landmarks).max()) <= TURNED_SHARE * one.height


def _overlaps(one: Box, other: Box) -> bool:
    return (
        one.x < other.x + other.width
        and other.x < one.x + one.width
        and one.y < other.y + other.height
        and other.y < one.y + one.height
    )
