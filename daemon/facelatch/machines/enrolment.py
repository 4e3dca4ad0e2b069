"""Machine: enrolment, by the button or from the command line. While it is not idle no verdict opens the door.

| state               | input                                               | next                          |
|---------------------|-----------------------------------------------------|-------------------------------|
| idle                | long press; nobody enrolled, or `button` mode       | armed                         |
| idle                | long press; `admin` mode and admins exist           | authorising                   |
| idle                | long press; `admin` mode without any admin          | failed (no_admin)             |
| idle, done, failed  | request from the command line                       | armed                         |
| authorising         | an admin is granted                                 | armed                         |
| authorising         | somebody else is granted                            | failed (not_admin)            |
| armed               | the authorising admin's own face                    | armed; strangers 0            |
| armed               | a stranger's good crop                              | capturing, 1 kept (see below) |
| capturing           | a good crop in a new pose, late enough              | kept + 1                      |
| capturing           | the last crop wanted                                | saving                        |
| armed, capturing    | twice somebody already enrolled                     | failed (duplicate)            |
| capturing           | twice several faces                                 | failed (second_face)          |
| capturing           | three times another face than the one kept          | failed (another_person)       |
| saving              | saved; save failed                                  | done; failed (save_failed)    |
| all but idle/saving | press; request to abort                             | failed (aborted)              |
| all but idle/saving | button stuck; fault; shutdown                       | failed (that)                 |
| all but idle/saving | its time is over, pose never varied                 | failed (too_little_movement)  |
| all but idle/saving | its time is over otherwise                          | failed (timeout)              |
| done, failed        | its time is over, or a press                        | idle                          |

After an admin's authorisation the admin is still in view: the first crop is kept only after three frames
in a row of a stranger. "Twice" and "three times" count until the next good frame. Nothing is looked at
while the button is down. The very first person becomes an admin. Another face is one that is a detection
of none of the crops kept: a turned head is alike to some of them only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import hypot
from typing import TYPE_CHECKING

from facelatch.machines.enrolment_states import (
    AbortEnrolment,
    Armed,
    Authorising,
    Capturing,
    Done,
    Enrolment,
    Failed,
    Failure,
    Granted,
    Idle,
    Input,
    KeptImage,
    Origin,
    Saved,
    SaveFailed,
    Saving,
    StartEnrolment,
)
from facelatch.values.observations import Judged, Reason, SeveralFaces, Verdict
from facelatch.values.pictures import Pose

if TYPE_CHECKING:
    from facelatch.config.machines import EnrolmentConfig

DONE_SECONDS = 3.0
FAILED_SECONDS = 8.0
"""How long the result is shown; long enough to count the blinks twice."""
STRANGER_FRAMES = 3
"""Frames of a stranger after an admin's authorisation before the first crop is kept."""
DUPLICATE_FRAMES = SEVERAL_FRAMES = 2
OTHER_FRAMES = 3


@dataclass(frozen=True, slots=True)
class Setting:
    """What else decides: the configuration, and who is enrolled."""

    config: EnrolmentConfig
    people_enrolled: int
    admins: frozenset[int]


def advance(state: Enrolment, given: Input | None, now: float, setting: Setting) -> Enrolment:
    """The enrolment after one input; None lets only the time pass."""
    match state, given:
        case Saving(kept=kept), Saved(person=person):
            return Done(person, len(kept), now + DONE_SECONDS)
        case Saving(), SaveFailed(reason=reason):
            return _failed(Failure.SAVE_FAILED, now, reason)
        case Saving(), _:
            return state
        case (Idle() | Done() | Failed(), StartEnrolment(origin=Origin.COMMAND)) | (Idle(), StartEnrolment()):
            return _begin(given, now, setting)
        case ((Done() | Failed()), _):
            over = now >= state.until or given == AbortEnrolment()
            return Idle() if over else state
        case ((Authorising() | Armed() | Capturing()), _):
            return _under_way(state, given, now, setting)
    return state


def _begin(request: StartEnrolment, now: float, setting: Setting) -> Enrolment:
    first = setting.people_enrolled == 0
    request = replace(request, admin=request.admin or first)
    until = now + setting.config.timeout_seconds
    if request.origin is Origin.COMMAND or first or setting.config.authorisation == "button":
        return Armed(request=request, until=until)
    if not setting.admins:
        return _failed(Failure.NO_ADMIN, now)
    return Authorising(request, until)


def _under_way(
    state: Authorising | Armed | Capturing, given: Input | None, now: float, setting: Setting
) -> Enrolment:
    match state, given:
        case _, AbortEnrolment(failure=failure):
            return _failed(failure, now)
        case Authorising(request=request), Granted(person=person):
            if person.id not in setting.admins:
                return _failed(Failure.NOT_ADMIN, now)
            return Armed(request=request, until=now + setting.config.timeout_seconds, authoriser=person)
    if now >= state.until:
        still = isinstance(state, Capturing) and state.held_still
        return _failed(Failure.TOO_LITTLE_MOVEMENT if still else Failure.TIMEOUT, now)
    match state, given:
        case Armed(), Judged():
            return _wait_for_face(state, given, now, setting)
        case Capturing(), Judged():
            return _look_again(state, given, now, setting)
        case Capturing(), SeveralFaces():
            state = replace(state, several=state.several + 1)
            return _failed(Failure.SECOND_FACE, now) if state.several >= SEVERAL_FRAMES else state
    return state


def _wait_for_face(state: Armed, seen: Judged, now: float, setting: Setting) -> Enrolment:
    """Nothing is kept yet."""
    verdict = seen.verdict
    if (
        state.authoriser is not None
        and verdict.person is not None
        and verdict.person.id == state.authoriser.id
    ):
        return replace(state, strangers=0)
    if _is_enrolled(verdict):
        state = replace(state, strangers=0, duplicates=state.duplicates + 1)
        return _duplicate(verdict, now) if state.duplicates >= DUPLICATE_FRAMES else state
    state = replace(state, strangers=state.strangers + 1, duplicates=0)
    if state.authoriser is not None and state.strangers < STRANGER_FRAMES:
        return state
    return _keep(
        Capturing(request=state.request, until=state.until, kept=(), kept_at=now), seen, now, setting
    )


def _look_again(state: Capturing, seen: Judged, now: float, setting: Setting) -> Enrolment:
    """Something is kept: is this the same person, somebody new, and in another pose?"""
    if _is_enrolled(seen.verdict):
        state = replace(state, duplicates=state.duplicates + 1)
        return _duplicate(seen.verdict, now) if state.duplicates >= DUPLICATE_FRAMES else state
    if seen.draft_share is None:
        return state
    if seen.draft_share == 0:
        state = replace(state, others=state.others + 1)
        return _failed(Failure.ANOTHER_PERSON, now) if state.others >= OTHER_FRAMES else state
    state = replace(state, duplicates=0, several=0, others=0)
    if now - state.kept_at < setting.config.min_interval_seconds:
        return state
    step = min(_pose_step(seen.pose, image.pose) for image in state.kept)
    if step < setting.config.min_pose_step:
        return replace(state, held_still=True)
    return _keep(state, seen, now, setting)


def _keep(state: Capturing, seen: Judged, now: float, setting: Setting) -> Capturing | Saving:
    kept = (*state.kept, KeptImage(seen.frame, seen.pose))
    lookalike = state.lookalike
    if lookalike is None and _comes_close(seen.verdict, setting.config.lookalike_share):
        lookalike = seen.verdict
    if len(kept) >= setting.config.references:
        return Saving(state.request, kept, lookalike)
    return replace(state, kept=kept, kept_at=now, lookalike=lookalike, held_still=False)


def _is_enrolled(verdict: Verdict) -> bool:
    """A tie between two enrolled people passes both thresholds twice over: it is a duplicate as well."""
    return verdict.matched or verdict.reason is Reason.AMBIGUOUS


def _comes_close(verdict: Verdict, lookalike_share: float) -> bool:
    return verdict.person is not None and verdict.detections > 0 and verdict.share >= lookalike_share


def _pose_step(one: Pose, other: Pose) -> float:
    return hypot(one.yaw - other.yaw, one.pitch - other.pitch)


def _duplicate(verdict: Verdict, now: float) -> Failed:
    return _failed(Failure.DUPLICATE, now, verdict.person.name if verdict.person is not None else "")


def _failed(failure: Failure, now: float, detail: str = "") -> Failed:
    return Failed(failure, now + FAILED_SECONDS, detail)
