"""Faces that have had their visit and have not moved since: a portrait, a poster, or somebody who stands quite still.

Such a face is counted once. Until it moves it is background: not judged again, and no second face beside a visitor. The
box of a picture that hangs still, seen through the finder with sensor noise, stays within 2.2 % of its height and 6 %
of its size (8 made faces in 3 sizes, 60 frames each); whoever lives and waits moves further within seconds.
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
MOST_FACES = 8


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
    return Background((*background.faces, still)[-MOST_FACES:])


def hide(background: Background, faces: Sequence[Face], now: float) -> tuple[list[Face], Background]:
    """The faces that are no background (px of the same picture), and what is still background after this frame."""
    kept, hidden = [], []
    for still in background.faces:
        near = [face for face in faces if _overlaps(still.face.box, face.box)]
        here = [face for face in near if is_still(still.face, face)]
        if here:
            kept.append(replace(still, seen=now))
            hidden += here
        elif not near and now - still.seen <= GONE_SECONDS:
            kept.append(still)
    return [face for face in faces if face not in hidden], Background(tuple(kept))


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
