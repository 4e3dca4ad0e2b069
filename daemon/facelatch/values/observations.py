"""What the line says about one frame, and the reasons it can give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from facelatch.values.liveness import Proof
from facelatch.values.pictures import Face, Image, Pose
from facelatch.values.records import Person


class Reason(StrEnum):
    """Why a frame or an attempt came to nothing; stable codes for logs and programs."""

    NO_FACE = "no_face"
    SEVERAL_FACES = "several_faces"
    TOO_SMALL = "too_small"
    CUT_OFF = "cut_off"
    TOO_DARK = "too_dark"
    TOO_BRIGHT = "too_bright"
    LOW_CONTRAST = "low_contrast"
    BLURRED = "blurred"
    TURNED_AWAY = "turned_away"
    UPSIDE_DOWN = "upside_down"
    SIDEWAYS = "sideways"
    UNFAMILIAR = "unfamiliar"
    NOBODY_ENROLLED = "nobody_enrolled"
    NOT_RECOGNISED = "not_recognised"
    TOO_FEW_DETECTIONS = "too_few_detections"
    AMBIGUOUS = "ambiguous"
    CONTRADICTED = "contradicted"
    FLAT = "flat"
    SCREEN = "screen"
    NO_MOTION = "no_motion"
    NOT_LIVE = "not_live"
    MATCHED = "matched"

    @property
    def hint(self) -> str:
        """One sentence a person at the door, or the installer, can act on."""
        return _HINTS[self]

_HINTS: Mapping[Reason, str] = {
    Reason.NO_FACE: "step in front of the camera and look at it",
    Reason.SEVERAL_FACES: "one person at a time: let the others step back",
    Reason.TOO_SMALL: "come closer",
    Reason.CUT_OFF: "move to the middle of the picture",
    Reason.TOO_DARK: "too dark: turn on a light or face it",
    Reason.TOO_BRIGHT: "too bright: step out of the glare",
    Reason.LOW_CONTRAST: "the light is behind you or the lens is dirty",
    Reason.BLURRED: "hold still for a moment, or clean the lens",
    Reason.TURNED_AWAY: "look straight at the camera",
    Reason.UPSIDE_DOWN: "the picture is upside down: set camera.rotation_degrees, `facelatch check` says to what",
    Reason.SIDEWAYS: "the picture lies on its side: set camera.rotation_degrees, `facelatch check` says to what",
    Reason.UNFAMILIAR: "no readable face: take off what covers it; if so with everybody, see camera.rotation_degrees",
    Reason.NOBODY_ENROLLED: "enrol the first person: hold the button, or `facelatch enroll`",
    Reason.NOT_RECOGNISED: "not enrolled, or enrolled in very different light",
    Reason.TOO_FEW_DETECTIONS: "alike, but to too few of the enrolled images: enrol again in this light",
    Reason.AMBIGUOUS: "two enrolled people look alike here: come closer, look straight",
    Reason.CONTRADICTED: "this picture is unlike the ones just before: hold still, one person at a time",
    Reason.FLAT: "stand before the camera yourself, in even light, with nothing held before it",
    Reason.SCREEN: "stand before the camera yourself, in even light, with nothing held before it",
    Reason.NO_MOTION: "turn your head when the light asks for it: the card beside the door says how",
    Reason.NOT_LIVE: "come closer, look straight at the camera, in better light",
    Reason.MATCHED: "recognised",
}


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The two thresholds, and the margin that separates two people who both pass."""

    detection: float
    """From which similarity (0 to 1) one reference counts as a detection."""
    verification: float
    """Which share (0 to 1] of a person's references must be detections."""
    ambiguity_margin: float
    """Two people who both pass and whose shares differ by less than this are a tie, and a tie is a no."""
    likeness: float | None = None
    """From which similarity two pictures may be of one person; None: frames are judged one by one, not together."""
    steady: float | None = None
    """From which similarity pictures are so much alike that the next one has to be as well; None: never."""
    lookalike: float | None = None
    """From which similarity of what their references have in common two people are look-alikes; None: nobody is."""
    lookalike_verification: float | None = None
    """The verification threshold of people who have a look-alike in the gallery; None: that of all."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who is there, by one picture or by all that a verdict rests on."""

    reason: Reason
    """MATCHED, or why not."""
    person: Person | None = None
    """The match; on TOO_FEW_DETECTIONS, AMBIGUOUS and CONTRADICTED whoever came closest; otherwise None."""
    share: float = 0.0
    """The share of `person`'s references that were detections."""
    detections: int = 0
    references: int = 0

    @property
    def matched(self) -> bool:
        """Whether this frame is evidence for `person`."""
        return self.reason is Reason.MATCHED


@dataclass(frozen=True, slots=True)
class NoFace:
    """Nobody is in view (or nobody was looked for, because nothing moved)."""

    reason: Reason = Reason.NO_FACE


@dataclass(frozen=True, slots=True)
class SeveralFaces:
    """Two or more faces of similar size: no decision."""

    count: int
    reason: Reason = Reason.SEVERAL_FACES


@dataclass(frozen=True, slots=True)
class Unusable:
    """One face, but the picture of it is not good enough to judge."""

    reason: Reason
    face: Face
    track: int = 0
    """The visitor whose place this is; 0: nobody's who was judged before."""


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """One good face, compared with everybody enrolled."""

    frame: int
    """Number of the frame: by it the machines name this picture, of which they see neither crop nor embedding."""
    track: int
    """Which visitor this is: one face followed over frames, by place and by likeness. Never used again for another."""
    frames: int
    """How many pictures of the track the verdict rests on, this one included."""
    seconds: float
    """How long ago the oldest of them was taken."""
    face: Face
    pose: Pose
    verdict: Verdict
    crop: Image = field(repr=False)
    """The aligned crop (112, 112, 3): the probe."""
    embedding: NDArray[np.float32] = field(repr=False)
    """(D,) of the crop."""
    similarities: NDArray[np.float32] = field(repr=False)
    """(N,) of what the verdict rests on against `Gallery.embeddings`; for `verify` only, never logged."""
    draft_share: float | None = None
    """During an enrolment: the share of the crops kept so far that this one is a detection of. Else None."""
    weight: float = 1.0
    """How much this picture counts among several, more than 0."""
    proof: Proof = Proof.NOT_ASKED
    """What the looks at this track say of its being alive."""
    parallax: float | None = None
    """How far the nose stands beside the plane of eyes and mouth, to image right positive, in half eye distances: the
    same for a picture however it is held, another one once a head turns. None: not measurable."""


Observation = NoFace | SeveralFaces | Unusable | Judged
"""What the line says about one frame: exactly one of these."""
