"""A visitor is a track: one face followed over frames, by place and by likeness, and what its pictures say together.

| track | what the frame shows                             | then                                     |
|-------|--------------------------------------------------|------------------------------------------|
| any   | a good picture, at its place and alike           | goes on; the picture joins the others    |
| any   | a good picture, elsewhere or of somebody else    | ends; a new one begins with this picture |
| none  | a good picture                                   | one begins with it                       |
| any   | an unusable picture at its place                 | goes on                                  |
| any   | an unusable picture elsewhere                    | ends                                     |
| any   | no face, for `LOST_SECONDS`                      | goes on                                  |
| any   | no face for longer, or several                   | ends                                     |

Whatever was between two good pictures, the second has to look like those before: as much as two pictures of one person
ever do, and where those before were as much alike as a camera's frames are (their likeness to the track was 0.9994 or
more in 350 frames of ten people), as much as that. Numbers of tracks are never used again. The embeddings are in here
only, and go with the track.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from facelatch.line import match
from facelatch.line.pipeline import Line
from facelatch.values.observations import (
    Judged,
    NoFace,
    Observation,
    Reason,
    SeveralFaces,
    Unusable,
)
from facelatch.values.pictures import Box
from facelatch.values.records import Gallery
from facelatch.vision import fusion

LOST_SECONDS = 1.5
"""A face that is not found for longer is gone; older pictures are no evidence any more. More than a second, so that a
camera of one picture a second can be followed."""

STEP_SIDES = 0.7
"""How far a face may have moved since it was seen last, in sides of its box: what the search's region shows of it."""

GROWTH = 1.6
"""By which factor it may have become larger or smaller."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """What is remembered of one good picture of a visitor."""

    embedding: NDArray[np.float32] = field(repr=False)
    weight: float
    taken: float
    """Monotonic seconds, as all times here."""


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """The visitor in view."""

    number: int
    box: Box
    """Where the face was seen last, px of the large picture."""
    seen: float
    pictures: tuple[Picture, ...] = field(repr=False)
    """The newest `fusion.MOST_PICTURES`, oldest first."""
    steady: bool
    """Whether each picture was as much alike to those before as a camera's frames are."""
    kept: NDArray[np.bool_]
    """Which of them are no outliers."""
    probe: NDArray[np.float32] = field(repr=False)
    """(D,) what those are together."""


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """What the loop hands from frame to frame."""

    newest: int = 0
    """The number given last."""
    current: Track | None = None


def follow(
    line: Line, tracks: Tracks, observation: Observation, now: float, gallery: Gallery
) -> tuple[Observation, Tracks]:
    """`observation` of the frame taken at `now`; a judged one with its track, and the verdict of all of the track."""
    current = tracks.current
    if current is not None and now - current.seen > LOST_SECONDS:
        current = None
    match observation:
        case NoFace():
            return observation, replace(tracks, current=current)
        case SeveralFaces():
            return observation, replace(tracks, current=None)
        case Unusable(face=face):
            if current is not None and _same_place(current.box, face.box):
                followed = replace(current, box=face.box, seen=now)
                return replace(observation, track=current.number), replace(tracks, current=followed)
            return observation, replace(tracks, current=None)
    current, steady = _continued(line, current, observation)
    newest = tracks.newest if current is not None else tracks.newest + 1
    picture = Picture(embedding=observation.embedding, weight=observation.weight, taken=now)
    pictures = _joined(current.pictures if current is not None else (), picture)
    probe, kept = _mean(pictures)
    current = Track(
        number=newest,
        box=observation.face.box,
        seen=now,
        pictures=pictures,
        steady=steady,
        kept=kept,
        probe=probe,
    )
    judged = replace(observation, track=current.number)
    if line.thresholds.likeness is not None and len(pictures) > 1:
        judged = _together(line, judged, current, gallery)
    return judged, Tracks(newest=newest, current=current)


def _joined(pictures: tuple[Picture, ...], newest: Picture) -> tuple[Picture, ...]:
    """After a pause evidence begins anew: a visitor who was not to be seen well may have been somebody else."""
    followed = pictures if pictures and newest.taken - pictures[-1].taken <= LOST_SECONDS else ()
    return (*followed, newest)[-fusion.MOST_PICTURES:]


def _continued(line: Line, current: Track | None, seen: Judged) -> tuple[Track | None, bool]:
    """The track that `seen` is a picture of, if that is still the one in view, and whether it is steady with it."""
    if current is None or not _same_place(current.box, seen.face.box):
        return None, True
    limits = line.thresholds
    # A model that was not calibrated for visits has no other word for "the same person" than a detection.
    least = limits.detection if limits.likeness is None else limits.likeness
    usual = least if limits.steady is None else limits.steady
    alike = line.verifier.compare(seen.embedding, current.probe[np.newaxis])[0]
    if alike < np.float32(usual if current.steady and len(current.pictures) > 1 else least):
        return None, True
    return current, current.steady and bool(alike >= np.float32(usual))


def _mean(pictures: tuple[Picture, ...]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """What the pictures (K) are together, (D,), and which of them are no outliers, (K,)."""
    embeddings = np.stack([one.embedding for one in pictures])
    weights = np.array([one.weight for one in pictures])
    kept = fusion.belonging(embeddings, weights)
    return fusion.fused(embeddings[kept], weights[kept]), kept


def _together(line: Line, seen: Judged, track: Track, gallery: Gallery) -> Judged:
    """`seen` with the verdict of all pictures of its track, as far as it does not contradict that itself."""
    similarities, kept = line.verifier.compare(track.probe, gallery.embeddings), track.kept
    verdict = match.match(similarities, gallery, line.thresholds)
    if verdict.matched and not (kept[-1] and match.supports(seen, verdict, gallery, line.thresholds)):
        verdict = replace(verdict, reason=Reason.CONTRADICTED)
    oldest = track.pictures[int(np.flatnonzero(kept)[0])]
    return replace(
        seen,
        frames=int(kept.sum()),
        seconds=track.pictures[-1].taken - oldest.taken,
        verdict=verdict,
        similarities=similarities,
    )


def _same_place(before: Box, after: Box) -> bool:
    side = max(before.width, before.height, 1.0)
    across = abs((after.x + after.width / 2) - (before.x + before.width / 2))
    down = abs((after.y + after.height / 2) - (before.y + before.height / 2))
    size = max(after.width, after.height, 1.0) / side
    return max(across, down) <= STEP_SIDES * side and 1 / GROWTH <= size <= GROWTH
