"""The line: a frame goes in, an observation comes out. No clock, no file, no pin."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from facelatch.config.line import QualityConfig
from facelatch.line import liveness, match, orientation
from facelatch.line import search as tracking
from facelatch.line.background import Background, hide
from facelatch.line.search import Pace, Search, Where
from facelatch.ports import FaceFinder, Verifier
from facelatch.values.observations import Judged, Observation, Reason, SeveralFaces, Thresholds, Unusable
from facelatch.values.pictures import Box, Face, Frame, Image
from facelatch.values.records import Gallery
from facelatch.vision import fusion, quality, select_face
from facelatch.vision.align import align
from facelatch.vision.cohort import NO_COHORT, Cohort, is_familiar

CLOSE_UP_SIDES = 1.6
"""Height of the close-up in sides of the face: room for the hair and for a box that is a little off."""

NOTHING_STILL = Background()

BLACK_LEVEL, WHITE_LEVEL = 8, 247
"""A picture without a brighter pixel shows nothing; 0 to 255."""

SAME_FACE_OVERLAP = 0.3
"""Boxes that overlap less are not of the same face."""


SetTest = Callable[[NDArray[np.float32]], str | None]
"""Of the embeddings (N, D) of a new person's pictures: why they cannot be references, or None."""


@dataclass(frozen=True, slots=True)
class Line:
    """The stops of the line, chosen once at start."""

    finder: FaceFinder
    verifier: Verifier
    quality: QualityConfig
    thresholds: Thresholds
    similar_size_ratio: float
    pace: Pace
    cohort: Cohort = NO_COHORT
    set_tests: tuple[SetTest, ...] = ()
    """What else the references of a new person have to pass."""
    liveness: liveness.Check | None = None
    """How it is asked whether somebody is alive; None: it is not."""
    measures_turns: bool = False
    """Whether the machines are told how far a head is turned: where nobody is asked to turn it, that costs and decides
    nothing."""


def observe(
    line: Line,
    frame: Frame,
    faces: Sequence[Face],
    gallery: Gallery,
    draft: Sequence[NDArray[np.float32]] = (),
) -> Observation:
    """What `frame`, in which the finder saw `faces` (coordinates of `frame.image`), says about who is there.

    `draft` holds the embeddings (D,) an enrolment has kept so far. Never raises for a picture.
    """
    chosen = select_face.select(faces, line.similar_size_ratio)
    if not isinstance(chosen, Face):
        return chosen
    return judge(line, frame, chosen, gallery, draft)


def judge(
    line: Line, frame: Frame, face: Face, gallery: Gallery, draft: Sequence[NDArray[np.float32]] = ()
) -> Unusable | Judged:
    """The rest of the line for one chosen face of `frame`: can it be judged at all, and who is it?"""
    if face.turn:
        return Unusable(Reason.UPSIDE_DOWN if face.turn == 180 else Reason.SIDEWAYS, face)
    crop = align(frame.image, face.landmarks)
    if crop is None:
        return Unusable(Reason.TURNED_AWAY, face)
    measures = quality.measure(frame.image.shape, face, crop)
    fault = quality.judge(measures, line.quality)
    if fault is not None:
        return Unusable(fault, face)
    if not quality.is_plausible(face):
        return Unusable(Reason.UNFAMILIAR, face)
    probe = line.verifier.embed(crop)
    if not is_familiar(probe, line.cohort):
        return Unusable(Reason.UNFAMILIAR, face)
    similarities = line.verifier.compare(probe, gallery.embeddings)
    verdict = match.match(similarities, gallery, line.thresholds)
    draft_share = None
    if draft:
        detections = line.verifier.compare(probe, np.stack(draft)) >= line.thresholds.detection
        draft_share = float(np.mean(detections))
    return Judged(
        frame=frame.number,
        track=0,
        frames=1,
        seconds=0.0,
        face=face,
        pose=measures.pose,
        verdict=verdict,
        crop=crop,
        embedding=probe,
        similarities=similarities,
        draft_share=draft_share,
        weight=fusion.weight(measures),
    )


def look(
    line: Line, frame: Frame, search: Search, background: Background = NOTHING_STILL
) -> tuple[list[Face], Search, Background]:
    """The faces of `frame` in pixels of `frame.image`, searched as sparingly as search.py plans.

    Those of the background are left out, and not followed.
    """
    search, plan = tracking.plan(search, frame.image, frame.captured, line.pace)
    if plan.where is Where.NOWHERE:
        found: list[Face] = []
    elif plan.region is not None:
        found = list(line.finder.find_near(frame.image, plan.region))
    else:
        found = to_image(frame, line.finder.find(frame.search))
    faces = [close_up(line, frame.image, face) for face in found]
    faces, background = hide(background, faces, frame.captured)
    search = tracking.after_search(search, plan, faces, frame.captured)
    chosen = select_face.select(faces, line.similar_size_ratio)
    if isinstance(chosen, SeveralFaces):
        search = tracking.look_around(search)
    elif isinstance(chosen, Face):
        if tracking.turn_is_due(search, frame.captured, line.pace):
            turn = orientation.turn_of(line.finder, frame.image, chosen)
            search = tracking.turn_seen(search, turn, frame.captured)
        faces = _standing(faces, chosen, search.turn)
    return faces, search, background


def fingerprint(frame: Frame) -> int | None:
    """Equal for pictures that agree in every pixel; None for one that is clipped all over.

    A sensor at night may clip to pure black, one with a torch in its lens to pure white: that proves nothing, but
    neither is the camera frozen.
    """
    if int(frame.search.max(initial=0)) < BLACK_LEVEL or int(frame.search.min(initial=255)) > WHITE_LEVEL:
        return None
    return zlib.crc32(np.ascontiguousarray(frame.search).data)


def find_all(line: Line, image: Image) -> list[Face]:
    """Every face of a single picture; which way up it stands is asked of the one that would be judged."""
    faces = [close_up(line, image, face) for face in line.finder.find(image)]
    chosen = select_face.select(faces, line.similar_size_ratio)
    if isinstance(chosen, Face):
        return _standing(faces, chosen, orientation.turn_of(line.finder, image, chosen))
    return faces


def _standing(faces: Sequence[Face], chosen: Face, turn: int) -> list[Face]:
    return [replace(face, turn=turn) if face is chosen else face for face in faces]


def close_up(line: Line, image: Image, face: Face) -> Face:
    """The same face looked at once more, filling the finder's small input; `face` itself when that fails.

    In the reduced picture one pixel is several of the large one, and a crop is only as good as its landmarks.
    """
    height = max(face.box.width, face.box.height) * CLOSE_UP_SIDES
    width = height * 4 / 3
    centre_x, centre_y = face.box.x + face.box.width / 2, face.box.y + face.box.height / 2
    region = Box(centre_x - width / 2, centre_y - height / 2, width, height)
    best = max(
        line.finder.find_near(image, region), key=lambda near: overlap(face.box, near.box), default=face
    )
    return best if overlap(face.box, best.box) >= SAME_FACE_OVERLAP else face


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes, 0 to 1."""
    wide = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    high = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    shared = max(wide, 0.0) * max(high, 0.0)
    union = one.width * one.height + other.width * other.height - shared
    return shared / union if union > 0 else 0.0


def to_image(frame: Frame, faces: Sequence[Face]) -> list[Face]:
    """Faces found in `frame.search`, moved to the pixels of `frame.image`."""
    x, y = frame.image.shape[1] / frame.search.shape[1], frame.image.shape[0] / frame.search.shape[0]
    scale = np.array([x, y], dtype=np.float32)
    return [
        Face(Box(box.x * x, box.y * y, box.width * x, box.height * y), face.landmarks * scale, face.score)
        for face in faces
        for box in (face.box,)
    ]
