"""The states of an enrolment, what can happen to it and why it can fail: nouns of enrolment.py."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import inf

from facelatch.values.observations import Observation, Verdict
from facelatch.values.pictures import Pose
from facelatch.values.records import Person


class Origin(StrEnum):
    """Who asked."""

    BUTTON = "button"
    COMMAND = "command"


class Failure(StrEnum):
    """Why nothing was saved; stable codes."""

    ABORTED = "aborted"
    TIMEOUT = "timeout"
    TOO_LITTLE_MOVEMENT = "too_little_movement"
    DUPLICATE = "duplicate"
    SECOND_FACE = "second_face"
    ANOTHER_PERSON = "another_person"
    NOT_ADMIN = "not_admin"
    NO_ADMIN = "no_admin"
    CAMERA_TURNED = "camera_turned"
    INDISTINCT = "indistinct"
    NOT_LIVE = "not_live"
    NOT_CONFIRMED = "not_confirmed"
    CLIENT_GONE = "client_gone"
    SAVE_FAILED = "save_failed"
    BUTTON_STUCK = "button_stuck"
    FAULT = "fault"
    STOPPING = "stopping"

    @property
    def hint(self) -> str:
        """What a person can do about it."""
        return _HINTS[self]


_HINTS = {
    Failure.ABORTED: "hold the button again to start over",
    Failure.TIMEOUT: "look at the camera within the time, alone and in good light",
    Failure.TOO_LITTLE_MOVEMENT: "turn and nod your head a little while the light blinks",
    Failure.DUPLICATE: "already enrolled: `facelatch enroll NAME --add` gives that person new pictures",
    Failure.SECOND_FACE: "one person at a time: let the others step back",
    Failure.ANOTHER_PERSON: "the same person must stay in view until the end",
    Failure.NOT_ADMIN: "an admin must look at the camera first",
    Failure.NO_ADMIN: "nobody may authorise it yet: `facelatch people admin NAME` makes somebody an admin",
    Failure.CAMERA_TURNED: "the picture is not upright: set camera.rotation_degrees, `facelatch check` says to what",
    Failure.INDISTINCT: "take off what hides the face, and look straight at the camera",
    Failure.NOT_LIVE: "stand before the camera yourself, come closer, look straight at it, in even light",
    Failure.NOT_CONFIRMED: "press the button once more when the light asks for it",
    Failure.CLIENT_GONE: "whoever asked for it has gone: ask again, and wait for the end",
    Failure.SAVE_FAILED: "look at the log and the free space, then enrol again",
    Failure.BUTTON_STUCK: "free the button",
    Failure.FAULT: "wait for the restart, then enrol again",
    Failure.STOPPING: "wait for the restart, then enrol again",
}


@dataclass(frozen=True, slots=True)
class StartEnrolment:
    """A request to enrol: by a long press, or by whoever may use the control socket."""

    name: str | None = None
    admin: bool = False
    origin: Origin = Origin.COMMAND
    person: Person | None = None
    """Whose references the pictures become; None: somebody new."""
    replace: bool = False
    """Whether they come in place of the references `person` has."""
    lease: str | None = None
    """The secret of the client to whom the enrolment belongs; None: it belongs to nobody who could go away."""
    consent: str = ""
    """How the person agreed, as the client says; empty: by coming to the button."""
    lease_until: float = inf
    """When the client counts as gone, unless it renews; set when the enrolment begins."""


@dataclass(frozen=True, slots=True)
class AbortEnrolment:
    """A request to stop: by the command line, or because something went wrong."""

    failure: Failure = Failure.ABORTED
    lease: str | None = None
    """Only the enrolment of this client; None: whosever it is."""


@dataclass(frozen=True, slots=True)
class RenewEnrolment:
    """The client that asked for an enrolment is still there."""

    lease: str


@dataclass(frozen=True, slots=True)
class Pressed:
    """The button went down."""


@dataclass(frozen=True, slots=True)
class Granted:
    """The session recognised somebody while authorising."""

    person: Person


@dataclass(frozen=True, slots=True)
class Saved:
    """The gallery has the new person, or the new references, on disk."""

    person: Person
    references: int
    """How many that person has now."""


@dataclass(frozen=True, slots=True)
class SaveFailed:
    """The gallery has not; nothing was written."""

    reason: str
    failure: Failure = Failure.SAVE_FAILED
    """Whether the images were at fault, or the saving."""


Input = (
    StartEnrolment | AbortEnrolment | RenewEnrolment | Pressed | Granted | Saved | SaveFailed | Observation
)
"""One thing at a time; observations only of fresh frames and while the button is up."""


@dataclass(frozen=True, slots=True)
class KeptImage:
    """A picture chosen for the new person. Crop and embedding stay on the line, which finds them by the number."""

    frame: int
    pose: Pose


@dataclass(frozen=True, slots=True)
class Idle:
    """The normal case."""


@dataclass(frozen=True, slots=True)
class Authorising:
    """Waiting for an admin's face."""

    request: StartEnrolment
    until: float


@dataclass(frozen=True, slots=True)
class Armed:
    """Waiting for the first good crop."""

    request: StartEnrolment
    until: float
    authoriser: Person | None = None
    strangers: int = 0
    duplicates: int = 0
    unread: Failure | None = None
    """Why the last face could not be read, where waiting does not mend it."""


@dataclass(frozen=True, slots=True)
class Capturing:
    """Keeping good and different crops of one person."""

    request: StartEnrolment
    until: float
    kept: tuple[KeptImage, ...]
    kept_at: float
    lookalike: Verdict | None = None
    """The first verdict that came close to an enrolled person."""
    duplicates: int = 0
    several: int = 0
    others: int = 0
    held_still: bool = False
    """Whether the last good crop was too like those kept."""
    unread: Failure | None = None
    """As in `Armed`."""


@dataclass(frozen=True, slots=True)
class Confirming:
    """All images are kept; whoever held the button has to press it once more."""

    request: StartEnrolment
    until: float
    kept: tuple[KeptImage, ...]
    lookalike: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Saving:
    """Handed to the gallery, which has not answered yet."""

    request: StartEnrolment
    kept: tuple[KeptImage, ...]
    lookalike: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """Enrolled."""

    person: Person
    references: int
    until: float


@dataclass(frozen=True, slots=True)
class Failed:
    """Not enrolled, nothing written."""

    failure: Failure
    until: float
    detail: str = ""
    """Who it is (duplicate), or what was said when it was to be saved."""


UnderWay = Authorising | Armed | Capturing | Confirming
"""It can still be aborted."""

Enrolment = Idle | UnderWay | Saving | Done | Failed
