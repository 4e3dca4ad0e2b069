"""The nouns on the line. Frozen values without behaviour; whoever makes one fills all of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

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
    """A face in a picture."""

    box: Box
    landmarks: NDArray[np.float32] = field(repr=False)
    """(5, 2) px: image-left eye, image-right eye, nose, image-left and image-right mouth corner."""
    score: float
    """The finder's confidence, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a face points, estimated from five landmarks; all 0 when it looks straight at the camera."""

    yaw: float
    """-1 (towards image left) to 1: the nose's offset between the eyes as a share of half the eye distance."""
    pitch: float
    """-1 (up) to 1 (down): the nose's offset along the line from the eyes to the mouth."""
    roll: float
    """Degrees, clockwise."""


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
    NOBODY_ENROLLED = "nobody_enrolled"
    NOT_RECOGNISED = "not_recognised"
    TOO_FEW_DETECTIONS = "too_few_detections"
    AMBIGUOUS = "ambiguous"
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
    Reason.NOBODY_ENROLLED: "enrol the first person: hold the button, or `facelatch enroll`",
    Reason.NOT_RECOGNISED: "not enrolled, or enrolled in very different light",
    Reason.TOO_FEW_DETECTIONS: "alike, but to too few of the enrolled images: enrol again in this light",
    Reason.AMBIGUOUS: "two enrolled people look alike here: come closer, look straight",
    Reason.MATCHED: "recognised",
}


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in the gallery."""

    id: int
    """Never reused, so a removed person's key opens nothing later."""
    name: str
    admin: bool = False
    """Whether this face may authorise an enrolment."""


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """All enrolled people as the matcher needs them; rebuilt whenever the gallery changes."""

    people: Mapping[int, Person]
    owners: tuple[int, ...]
    """The person id of each row of `embeddings`."""
    embeddings: NDArray[np.float32] = field(repr=False)
    """(N, D), one row a reference, in the order of `owners`."""
    ids: tuple[int, ...] = field(init=False)
    """The person ids that own a reference, ascending."""
    codes: NDArray[np.intp] = field(init=False, repr=False)
    """(N,) for each row the place of its owner in `ids`; counted once here, not once a frame."""

    def __post_init__(self) -> None:
        ids, codes = np.unique(np.array(self.owners, dtype=np.int64), return_inverse=True)
        object.__setattr__(self, "ids", tuple(ids.tolist()))
        object.__setattr__(self, "codes", codes.reshape(-1))


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The two thresholds, and the margin that separates two people who both pass."""

    detection: float
    """From which similarity (0 to 1) one reference counts as a detection."""
    verification: float
    """Which share (0 to 1] of a person's references must be detections."""
    ambiguity_margin: float
    """Two people who both pass and whose shares differ by less than this are a tie, and a tie is a no."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one frame says about who is there."""

    reason: Reason
    """MATCHED, or why not."""
    person: Person | None = None
    """The match; on TOO_FEW_DETECTIONS and AMBIGUOUS whoever came closest; otherwise None."""
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


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """One good face, compared with everybody enrolled."""

    face: Face
    pose: Pose
    verdict: Verdict
    crop: Image = field(repr=False)
    """The aligned crop (112, 112, 3): the probe."""
    embedding: NDArray[np.float32] = field(repr=False)
    """(D,) of the crop."""
    similarities: NDArray[np.float32] = field(repr=False)
    """(N,) against `Gallery.embeddings`; for `verify` only, never logged."""
    draft_share: float | None = None
    """During an enrolment: the share of the crops kept so far that this one is a detection of. Else None."""


Observation = NoFace | SeveralFaces | Unusable | Judged
"""What the line says about one frame: exactly one of these."""


class LockLevel(StrEnum):
    """The level the lock is told on every turn of the loop."""

    LOCKED = "locked"
    UNLOCKED = "unlocked"


@dataclass(frozen=True, slots=True)
class Lamp:
    """What the indicator shows at this instant."""

    red: bool = False
    green: bool = False
    blue: bool = False
    buzzer: bool = False

    @property
    def lit(self) -> bool:
        """For a single plain LED."""
        return self.red or self.green or self.blue


class EdgeKind(StrEnum):
    """What happened to the button."""

    FOUND_DOWN = "found_down"
    """It was down already when its line was claimed."""
    PRESSED = "pressed"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Edge:
    """A change of the button, debounced by the adapter."""

    kind: EdgeKind
    at: float
    """Monotonic seconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """An image kept at enrolment with what the model made of it."""

    crop: Image = field(repr=False)
    embedding: NDArray[np.float32] = field(repr=False)
    pose: Pose = Pose(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class NewPerson:
    """A finished enrolment, to be saved in one transaction."""

    name: str | None
    """None: the gallery gives the next free `person-NNN`."""
    admin: bool
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class Throttle:
    """The memory of refused attempts that must survive a restart."""

    refusals: int = 0
    """Refused attempts in a row since the last grant."""
    lockout_seconds: float = 0.0
    """The lock-out in force when this was written; 0 when there was none. Served again in full after a restart."""
