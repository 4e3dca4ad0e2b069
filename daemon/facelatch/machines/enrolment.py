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
| capturing           | the last crop wanted; by button, to be confirmed    | confirming                    |
| confirming          | press                                               | saving                        |
| armed, capturing    | twice somebody already enrolled                     | failed (duplicate)            |
| armed, capturing    | the person whose images these become                | as a stranger                 |
| capturing           | twice several faces                                 | failed (second_face)          |
| capturing           | three times another face than the one kept          | failed (another_person)       |
| saving              | saved; save failed                                  | done; failed (why)            |
| all but idle/saving | press; request to abort                             | failed (aborted)              |
| all but idle/saving | the client that asked renews                        | as before, 3 s longer         |
| all but idle/saving | the client that asked is gone                       | failed (client_gone)          |
| all but idle/saving | button stuck; fault; shutdown                       | failed (that)                 |
| confirming          | its time is over                                    | failed (not_confirmed)        |
| armed, capturing    | its time is over, the last face not upright         | failed (camera_turned)        |
| armed, capturing    | its time is over, the last face unfamiliar          | failed (indistinct)           |
| armed, capturing    | a face not proven alive                             | as before, nothing is kept    |
| armed, capturing    | its time is over, the last face not alive           | failed (not_live)             |
| all but idle/saving | its time is over, pose never varied                 | failed (too_little_movement)  |
| all but idle/saving | its time is over otherwise                          | failed (timeout)              |
| done, failed        | its time is over, or a press                        | idle                          |

After an admin's authorisation the admin is still in view: the first crop is kept only after three frames
in a row of a stranger. "Twice" and "three times" count until the next good frame. Nothing is looked at
while the button is down. Nobody becomes an admin but by a request that says so. Another face is one that is
a detection of none of the crops kept: a turned head is alike to some of them only.

Whoever steps before the camera first is enrolled, so what a long press began has to be confirmed by a press: somebody
has to stand at the button who knows that it was the right one. A press while confirming aborts nothing. What the
command line began belongs to its client, who has to renew it: a client that was killed leaves no open door behind.
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
    Confirming,
    Done,
    Enrolment,
    Failed,
    Failure,
    Granted,
    Idle,
    Input,
    KeptImage,
    Origin,
    Pressed,
    RenewEnrolment,
    Saved,
    SaveFailed,
    Saving,
    StartEnrolment,
    UnderWay,
)
from facelatch.values.observations import Judged, Reason, SeveralFaces, Unusable, Verdict
from facelatch.values.pictures import Pose

if TYPE_CHECKING:
    from facelatch.config.machines import EnrolmentConfig

DONE_SECONDS = 3.0
FAILED_SECONDS = 8.0
"""How long the result is shown; long enough to count the blinks twice."""
CONFIRM_SECONDS = 10.0
"""How long a press to confirm is waited for."""
LEASE_SECONDS = 3.0
"""A client that has not asked for this long has gone."""
STRANGER_FRAMES = 3
"""Frames of a stranger after an admin's authorisation before the first crop is kept."""
_UNREAD = {
    Reason.UPSIDE_DOWN: Failure.CAMERA_TURNED,
    Reason.SIDEWAYS: Failure.CAMERA_TURNED,
    Reason.UNFAMILIAR: Failure.INDISTINCT,
}
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
        case Saving(), Saved(person=person, references=references):
            return Done(person, references, now + DONE_SECONDS)
        case Saving(), SaveFailed(reason=reason, failure=failure):
            return _failed(failure, now, reason)
        case Saving(), _:
            return state
        case (Idle() | Done() | Failed(), StartEnrolment(origin=Origin.COMMAND)) | (Idle(), StartEnrolment()):
            return _begin(given, now, setting)
        case ((Done() | Failed()), _):
            over = now >= state.until or given in (AbortEnrolment(), Pressed())
            return Idle() if over else state
        case ((Authorising() | Armed() | Capturing() | Confirming()), _):
            return _asked(state, given, now) or _under_way(state, given, now, setting)
    return state


def _begin(request: StartEnrolment, now: float, setting: Setting) -> Enrolment:
    if request.lease is not None:
        request = replace(request, lease_until=now + LEASE_SECONDS)
    until = now + setting.config.timeout_seconds
    nobody = setting.people_enrolled == 0
    if request.origin is Origin.COMMAND or nobody or setting.config.authorisation == "button":
        return Armed(request=request, until=until)
    if not setting.admins:
        return _failed(Failure.NO_ADMIN, now)
    return Authorising(request, until)


def _asked(state: UnderWay, given: Input | None, now: float) -> Enrolment | None:
    """What somebody's word, or silence, makes of it; None: it goes on."""
    match state, given:
        case Confirming(), Pressed():
            if now < state.until:
                return Saving(state.request, state.kept, state.lookalike)
        case _, Pressed():
            return _failed(Failure.ABORTED, now)
        case _, AbortEnrolment(failure=failure, lease=lease):
            if lease in (None, state.request.lease):
                return _failed(failure, now)
        case _, RenewEnrolment(lease=lease):
            if lease == state.request.lease:
                return replace(state, request=replace(state.request, lease_until=now + LEASE_SECONDS))
    return _failed(Failure.CLIENT_GONE, now) if now >= state.request.lease_until else None


def _under_way(state: UnderWay, given: Input | None, now: float, setting: Setting) -> Enrolment:
    match state, given:
        case Authorising(request=request), Granted(person=person):
            if person.id not in setting.admins:
                return _failed(Failure.NOT_ADMIN, now)
            return Armed(request=request, until=now + setting.config.timeout_seconds, authoriser=person)
    if isinstance(state, Armed | Capturing) and isinstance(given, Judged | Unusable):
        state = replace(state, unread=_unread(given))
    if now >= state.until:
        return _failed(_too_late(state), now)
    if isinstance(given, Judged) and not given.proof.passes:
        return state
    match state, given:
        case Armed(), Judged():
            return _wait_for_face(state, given, now, setting)
        case Capturing(), Judged():
            return _look_again(state, given, now, setting)
        case Capturing(), SeveralFaces():
            state = replace(state, several=state.several + 1)
            return _failed(Failure.SECOND_FACE, now) if state.several >= SEVERAL_FRAMES else state
    return state


def _unread(seen: Judged | Unusable) -> Failure | None:
    """Why nothing comes of the face in view, where waiting does not mend it."""
    if isinstance(seen, Unusable):
        return _UNREAD.get(seen.reason)
    return Failure.NOT_LIVE if seen.proof.speaks_against else None


def _too_late(state: UnderWay) -> Failure:
    if isinstance(state, Confirming):
        return Failure.NOT_CONFIRMED
    if isinstance(state, Armed | Capturing) and state.unread is not None:
        return state.unread
    still = isinstance(state, Capturing) and state.held_still
    return Failure.TOO_LITTLE_MOVEMENT if still else Failure.TIMEOUT


def _wait_for_face(state: Armed, seen: Judged, now: float, setting: Setting) -> Enrolment:
    """Nothing is kept yet."""
    verdict = seen.verdict
    if (
        state.authoriser is not None
        and verdict.person is not None
        and verdict.person.id == state.authoriser.id
    ):
        return replace(state, strangers=0)
    if _is_enrolled(verdict, state.request):
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
    if _is_enrolled(seen.verdict, state.request):
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


def _keep(state: Capturing, seen: Judged, now: float, setting: Setting) -> Capturing | Confirming | Saving:
    kept = (*state.kept, KeptImage(seen.frame, seen.pose))
    lookalike = state.lookalike
    if lookalike is None and _comes_close(seen.verdict, state.request, setting.config.lookalike_share):
        lookalike = seen.verdict
    if len(kept) >= setting.config.references:
        if state.request.origin is Origin.BUTTON and setting.config.confirm:
            return Confirming(
                request=state.request, until=now + CONFIRM_SECONDS, kept=kept, lookalike=lookalike
            )
        return Saving(state.request, kept, lookalike)
    return replace(state, kept=kept, kept_at=now, lookalike=lookalike, held_still=False)


def _is_enrolled(verdict: Verdict, request: StartEnrolment) -> bool:
    """Whether it is somebody already, other than the person whose images these become.

    A tie between two enrolled people passes both thresholds twice over: it is a duplicate as well.
    """
    return (verdict.matched or verdict.reason is Reason.AMBIGUOUS) and not _is_meant(verdict, request)


def _is_meant(verdict: Verdict, request: StartEnrolment) -> bool:
    meant, seen = request.person, verdict.person
    return meant is not None and seen is not None and seen.id == meant.id


def _comes_close(verdict: Verdict, request: StartEnrolment, lookalike_share: float) -> bool:
    close = verdict.person is not None and verdict.detections > 0 and verdict.share >= lookalike_share
    return close and not _is_meant(verdict, request)


def _pose_step(one: Pose, other: Pose) -> float:
    return hypot(one.yaw - other.yaw, one.pitch - other.pitch)


def _duplicate(verdict: Verdict, now: float) -> Failed:
    return _failed(Failure.DUPLICATE, now, verdict.person.name if verdict.person is not None else "")


def _failed(failure: Failure, now: float, detail: str = "") -> Failed:
    return Failed(failure, now + FAILED_SECONDS, detail)
