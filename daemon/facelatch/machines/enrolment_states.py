"""The states of an enrolment, what can happen to it and why it can fail: nouns of enrolment.py."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

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
    Failure.DUPLICATE: "already enrolled: remove that person first to enrol again",
    Failure.SECOND_FACE: "one person at a time: let the others step back",
    Failure.ANOTHER_PERSON: "the same person must stay in view until the end",
    Failure.NOT_ADMIN: "an admin must look at the camera first",
    Failure.NO_ADMIN: "name one with `facelatch people admin NAME`",
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


@dataclass(frozen=True, slots=True)
class AbortEnrolment:
    """A request to stop: a press, the command line, or something that went wrong."""

    failure: Failure = Failure.ABORTED


@dataclass(frozen=True, slots=True)
class Granted:
    """The session recognised somebody while authorising."""

    person: Person


@dataclass(frozen=True, slots=True)
class Saved:
    """The gallery has the new person on disk."""

    person: Person


@dataclass(frozen=True, slots=True)
class SaveFailed:
    """The gallery has not; nothing was written."""

    reason: str


Input = StartEnrolment | AbortEnrolment | Granted | Saved | SaveFailed | Observation
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
    """Who it is (duplicate), or what the gallery said (save_failed)."""


Enrolment = Idle | Authorising | Armed | Capturing | Saving | Done | Failed
