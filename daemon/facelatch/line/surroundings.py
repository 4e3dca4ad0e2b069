"""What the surroundings of a visitor say over the track: a picture held in a hand takes its own along.

| two pictures of the track, STEP_SECONDS apart               | then                                             |
|-------------------------------------------------------------|--------------------------------------------------|
| the face moved                                              | one comparison more; those of before stay        |
| it hardly moved, or little is in view around it             | nothing: a face that keeps still says nothing    |
| another track, or MOST_STEP_SECONDS later                   | the comparisons before are forgotten             |

Undecided below LEAST_COMPARISONS, or where the surroundings show nothing that could be seen to move.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facelatch.values.pictures import Face, Frame, Image
from facelatch.vision.surroundings import Explanations, compare

STEP_SECONDS, MOST_STEP_SECONDS = 0.18, 0.7
MOST_SECONDS = 3.0
"""Older comparisons do not count any more."""
LEAST_COMPARISONS = 2
LEAST_DIFFERENCE = 2.0
"""Grey levels both explanations have to leave together; a plain wall looks the same wherever it is."""
MOST_UNEXPLAINED = 1.6
"""Where both together leave more of the detail unexplained, neither is true: noise, a cut, a camera that moves."""
MOVES_ALONG = -0.3
"""From which share on, -1 (they stayed) to 1 (they moved as the face did), surroundings are part of a picture. Chosen
on five people and their prints in the hand, shown on five others."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """The picture that the next one is compared with."""

    search: Image = field(repr=False)
    landmarks: NDArray[np.float32] = field(repr=False)
    """In pixels of `search`."""
    taken: float


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """What is known of a track."""

    track: int = 0
    scene: Scene | None = None
    comparisons: tuple[tuple[float, Explanations], ...] = ()
    """With the time of each; monotonic seconds."""


def watch(before: Surroundings, frame: Frame, face: Face, track: int) -> Surroundings:
    """The same after one more picture of the visitor."""
    now = frame.captured
    scale = np.array(frame.search.shape[1::-1], np.float32) / np.array(frame.image.shape[1::-1], np.float32)
    scene = Scene(frame.search, face.landmarks * scale, now)
    if before.track != track or before.scene is None or now - before.scene.taken > MOST_STEP_SECONDS:
        return Surroundings(track, scene)
    if now - before.scene.taken < STEP_SECONDS:
        return before
    found = compare(before.scene.search, before.scene.landmarks, scene.search, scene.landmarks)
    young = tuple(one for one in before.comparisons if now - one[0] <= MOST_SECONDS)
    return Surroundings(track, scene, young if found is None else (*young, (now, found)))


def move_along(known: Surroundings) -> bool | None:
    """Whether the surroundings move as the face does; None: undecided."""
    stayed = sum(one.stayed for _, one in known.comparisons)
    moved = sum(one.moved for _, one in known.comparisons)
    detail = sum(one.detail for _, one in known.comparisons)
    count = len(known.comparisons)
    if count < LEAST_COMPARISONS or stayed + moved < LEAST_DIFFERENCE * count:
        return None
    if not stayed + moved <= MOST_UNEXPLAINED * detail:
        return None
    return (stayed - moved) / (stayed + moved) > MOVES_ALONG
