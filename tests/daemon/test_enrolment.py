"""Enrolment: who may, what is kept, and every way it ends."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest
from sightings import FACE, judged

from facelatch.config.machines import EnrolmentConfig
from facelatch.machines import enrolment
from facelatch.machines.enrolment import Setting, advance
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
)
from facelatch.values.liveness import Proof
from facelatch.values.observations import Judged, NoFace, Reason, SeveralFaces, Unusable, Verdict
from facelatch.values.pictures import Pose
from facelatch.values.records import Person

ADMIN, BEN = Person(1, "ada", admin=True), Person(2, "ben")
STRANGER = Verdict(reason=Reason.NOT_RECOGNISED)
LONG_PRESS = StartEnrolment(origin=Origin.BUTTON)


def setting(
    authorisation: str = "button", people: int = 2, references: int = 3, *, confirm: bool = False
) -> Setting:
    config = EnrolmentConfig.model_validate(
        {
            "authorisation": authorisation,
            "references": references,
            "confirm": confirm,
            "timeout_seconds": 60.0,
            "min_pose_step": 0.1,
            "min_interval_seconds": 0.5,
            "lookalike_share": 0.25,
        }
    )
    return Setting(config, people, frozenset({ADMIN.id}) if people else frozenset())


def seen(verdict: Verdict = STRANGER, yaw: float = 0.0, share: float | None = None) -> Judged:
    return judged(verdict, yaw=yaw, share=share)


def matched(person: Person) -> Judged:
    return seen(Verdict(reason=Reason.MATCHED, person=person, share=1.0, detections=8, references=8))


def image(yaw: float) -> KeptImage:
    return KeptImage(frame=0, pose=Pose(yaw, 0.0, 0.0))


def armed(authoriser: Person | None = None) -> Armed:
    return Armed(request=LONG_PRESS, until=160.0, authoriser=authoriser)


def capturing(*yaws: float) -> Capturing:
    return Capturing(
        request=LONG_PRESS, until=160.0, kept=tuple(image(yaw) for yaw in yaws or (0.0,)), kept_at=100.0
    )


def confirming() -> Confirming:
    return Confirming(request=LONG_PRESS, until=110.0, kept=(image(0.0), image(0.2), image(0.4)))


def asked_by_a_client(lease_until: float = 103.0) -> list[Authorising | Armed | Capturing | Confirming]:
    """Every state under way, as the enrolment of a client that is heard of until then."""
    request = StartEnrolment(name="cleo", lease="secret", lease_until=lease_until)
    return [replace(state, request=request) for state in (*UNDER_WAY, confirming())]


UNDER_WAY: list[Authorising | Armed | Capturing] = [Authorising(LONG_PRESS, 160.0), armed(), capturing()]
OVER: list[Done | Failed] = [Done(BEN, 3, 103.0), Failed(Failure.TIMEOUT, 103.0)]


def run(
    state: Enrolment, *inputs: Input | None, now: float = 101.0, where: Setting | None = None
) -> Enrolment:
    """The state after the inputs, all at the same time."""
    for given in inputs:
        state = advance(state, given, now, where or setting())
    return state


def failure(state: Enrolment) -> Failure:
    assert isinstance(state, Failed), state
    return state.failure


def kept(state: Enrolment) -> list[float]:
    assert isinstance(state, Capturing), state
    return [image.pose.yaw for image in state.kept]


def _press_allowed() -> None:
    assert run(Idle(), LONG_PRESS) == Armed(request=LONG_PRESS, until=161.0)
    first = run(Idle(), LONG_PRESS, where=setting("admin", people=0))
    assert first == Armed(request=StartEnrolment(origin=Origin.BUTTON), until=161.0)


def _press_admin() -> None:
    assert run(Idle(), LONG_PRESS, where=setting("admin")) == Authorising(LONG_PRESS, 161.0)


def _press_no_admin() -> None:
    nobody = Setting(setting("admin").config, 2, frozenset())
    assert failure(run(Idle(), LONG_PRESS, where=nobody)) is Failure.NO_ADMIN


def _command() -> None:
    asked = StartEnrolment(name="cleo", admin=True)
    for state in (Idle(), *OVER):
        assert run(state, asked, where=setting("admin")) == Armed(request=asked, until=161.0)
    for busy in (*UNDER_WAY, Saving(LONG_PRESS, ())):
        assert run(busy, asked) is busy


def _admin_granted() -> None:
    state = run(UNDER_WAY[0], Granted(ADMIN), where=setting("admin"))
    assert state == Armed(request=LONG_PRESS, until=161.0, authoriser=ADMIN)


def _other_granted() -> None:
    assert failure(run(UNDER_WAY[0], Granted(BEN), where=setting("admin"))) is Failure.NOT_ADMIN


def _admin_in_view() -> None:
    alike = seen(
        Verdict(reason=Reason.TOO_FEW_DETECTIONS, person=ADMIN, share=0.4, detections=3, references=8)
    )
    assert run(armed(ADMIN), *[matched(ADMIN)] * 20, seen(), seen(), alike) == armed(ADMIN)


def _first_crop() -> None:
    assert kept(run(armed(), seen(yaw=0.3))) == [0.3]
    two = run(armed(ADMIN), seen(), seen())
    assert isinstance(two, Armed)
    assert kept(run(two, seen(yaw=0.2))) == [0.2]
    assert run(armed(), NoFace(), Unusable(Reason.BLURRED, FACE), SeveralFaces(2)) == armed()


def _next_crop() -> None:
    assert kept(run(capturing(), seen(yaw=0.1, share=1.0))) == [0.0, 0.1]
    assert kept(run(capturing(), seen(yaw=0.09, share=1.0))) == [0.0]  # pose
    assert kept(run(capturing(), seen(yaw=0.1, share=1.0), now=100.4)) == [0.0]  # time
    assert kept(run(capturing(), seen(yaw=0.1, share=None))) == [0.0]  # nobody compared it
    assert kept(run(capturing(0.0, 0.2), seen(yaw=0.2, share=1.0))) == [0.0, 0.2]  # every kept pose counts


def _last_crop() -> None:
    state = run(capturing(0.0, 0.2), seen(yaw=0.4, share=0.125))
    assert isinstance(state, Saving)
    assert [image.pose.yaw for image in state.kept] == [0.0, 0.2, 0.4]
    assert (state.request.name, state.request.admin) == (None, False)
    assert isinstance(run(armed(), seen(), where=setting(references=1)), Saving)


def _to_be_confirmed() -> None:
    where = setting(confirm=True)
    state = run(capturing(0.0, 0.2), seen(yaw=0.4, share=1.0), where=where)
    assert isinstance(state, Confirming)
    assert (state.until, [image.pose.yaw for image in state.kept]) == (111.0, [0.0, 0.2, 0.4])
    command = replace(capturing(0.0, 0.2), request=StartEnrolment(name="cleo"))
    assert isinstance(run(command, seen(yaw=0.4, share=1.0), where=where), Saving)


def _confirmed() -> None:
    state = run(confirming(), matched(BEN), SeveralFaces(2), seen(share=0.0), Pressed(), now=109.9)
    assert state == Saving(LONG_PRESS, confirming().kept)


def _not_confirmed() -> None:
    assert run(confirming(), None, now=109.9) == confirming()
    for late in (None, Pressed(), seen(share=1.0)):
        assert failure(run(confirming(), late, now=110.0)) is Failure.NOT_CONFIRMED


def _the_same_person() -> None:
    again = StartEnrolment(name="ben", person=BEN)
    state = run(replace(armed(), request=again), matched(BEN))
    assert kept(state) == [0.0]
    more = replace(matched(BEN), pose=Pose(0.2, 0.0, 0.0), draft_share=1.0)
    state = run(state, more, now=102.0)
    assert kept(state) == [0.0, 0.2]
    assert isinstance(state, Capturing)
    assert state.lookalike is None
    assert failure(run(state, matched(ADMIN), matched(ADMIN))) is Failure.DUPLICATE


def _renewed() -> None:
    for state in asked_by_a_client():
        assert run(state, RenewEnrolment("secret"), now=104.0).request.lease_until == 107.0
        assert run(state, RenewEnrolment("another"), now=102.0) == state
    for state in UNDER_WAY:
        assert run(state, RenewEnrolment("secret")) == state


def _client_gone() -> None:
    begun = run(Idle(), StartEnrolment(name="cleo", lease="secret"))
    assert isinstance(begun, Armed)
    assert begun.request.lease_until == 104.0
    for state in asked_by_a_client():
        assert run(state, None, now=102.9) == state
        for late in (None, RenewEnrolment("another"), seen(share=1.0)):
            assert failure(run(state, late, now=103.0)) is Failure.CLIENT_GONE
    unowned = asked_by_a_client(inf)[1]
    assert run(unowned, None, now=159.0) == unowned


def _duplicate() -> None:
    tie = seen(Verdict(reason=Reason.AMBIGUOUS, person=BEN, share=1.0, detections=8, references=8))
    for state in (armed(), capturing()):
        once = run(state, matched(BEN))
        assert type(once) is type(state)
        twice = run(once, NoFace(), tie)
        assert failure(twice) is Failure.DUPLICATE
        assert isinstance(twice, Failed)
        assert twice.detail == "ben"
    assert kept(run(capturing(), matched(BEN), seen(yaw=0.1, share=1.0), matched(BEN))) == [0.0, 0.1]


def _second_face() -> None:
    once = run(capturing(), SeveralFaces(2))
    assert failure(run(once, SeveralFaces(3))) is Failure.SECOND_FACE
    assert kept(run(once, seen(yaw=0.1, share=1.0), SeveralFaces(2))) == [0.0, 0.1]


def _another_person() -> None:
    other = seen(yaw=0.5, share=0.0)
    twice = run(capturing(), other, other)
    assert kept(twice) == [0.0]
    assert failure(run(twice, other)) is Failure.ANOTHER_PERSON
    assert kept(run(twice, seen(yaw=0.1, share=1.0), other, other)) == [0.0, 0.1]


def _answer() -> None:
    saving = Saving(StartEnrolment(name="ben"), (image(0.0), image(0.2)))
    other = SaveFailed("two people", Failure.ANOTHER_PERSON)
    assert run(saving, other) == Failed(Failure.ANOTHER_PERSON, 109.0, "two people")
    assert run(saving, Saved(BEN, 2)) == Done(BEN, 2, 104.0)
    assert run(saving, SaveFailed("disk full")) == Failed(Failure.SAVE_FAILED, 109.0, "disk full")
    for given in (None, AbortEnrolment(), AbortEnrolment(Failure.FAULT), matched(BEN)):
        assert run(saving, given, now=1e6) is saving


def _unread(reason: Reason) -> None:
    for state in (armed(), capturing()):
        unread = run(state, Unusable(reason, FACE))
        assert failure(run(unread, None, now=160.0)) is enrolment._UNREAD[reason]
        seen_since = run(unread, seen(share=0.5), now=101.0)
        assert failure(run(seen_since, None, now=1000.0)) not in enrolment._UNREAD.values()
        blurred_since = run(unread, Unusable(Reason.BLURRED, FACE))
        assert failure(run(blurred_since, None, now=160.0)) is Failure.TIMEOUT


def _not_upright() -> None:
    _unread(Reason.UPSIDE_DOWN)
    _unread(Reason.SIDEWAYS)


def _unfamiliar() -> None:
    _unread(Reason.UNFAMILIAR)


def _aborted() -> None:
    for state in (*UNDER_WAY, *asked_by_a_client(), confirming()):
        assert run(state, AbortEnrolment()) == Failed(Failure.ABORTED, 109.0)
        if not isinstance(state, Confirming):
            assert run(state, Pressed()) == Failed(Failure.ABORTED, 109.0)
    for state in asked_by_a_client():
        assert run(state, AbortEnrolment(lease="secret")) == Failed(Failure.ABORTED, 109.0)
        assert run(state, AbortEnrolment(lease="another")) == state
    assert run(Idle(), AbortEnrolment(), Pressed()) == Idle()


def _broken() -> None:
    for reason in (Failure.BUTTON_STUCK, Failure.FAULT, Failure.STOPPING):
        for state in (*UNDER_WAY, *asked_by_a_client()):
            assert failure(run(state, AbortEnrolment(reason))) is reason
        for over in OVER:
            assert run(over, AbortEnrolment(reason)) is over


def _not_proven() -> None:
    for proof in (Proof.GATHERING, Proof.FLAT, Proof.SCREEN, Proof.NOT_LIVE):
        for state in (armed(), capturing()):
            after = run(state, replace(seen(yaw=0.5, share=1.0), proof=proof))
            assert isinstance(after, Armed | Capturing)
            assert getattr(after, "kept", ()) == getattr(state, "kept", ())


def _not_alive() -> None:
    for state in (armed(), capturing()):
        denied = run(state, replace(seen(share=1.0), proof=Proof.FLAT))
        assert failure(run(denied, None, now=160.0)) is Failure.NOT_LIVE


def _still() -> None:
    still = run(capturing(), seen(yaw=0.05, share=1.0))
    assert failure(run(still, None, now=160.0)) is Failure.TOO_LITTLE_MOVEMENT


def _late() -> None:
    for state in UNDER_WAY:
        assert run(state, None, now=159.9) is state
        assert failure(run(state, None, now=160.0)) is Failure.TIMEOUT
        assert failure(run(state, seen(share=1.0), now=160.0)) is Failure.TIMEOUT


def _result_shown() -> None:
    for state in OVER:
        assert run(state, None, now=102.9) is state
        assert run(state, NoFace(), now=103.0) == Idle()
        assert run(state, AbortEnrolment()) == run(state, Pressed()) == Idle()


ROWS = {
    ("idle", "long press; nobody enrolled, or `button` mode"): _press_allowed,
    ("idle", "long press; `admin` mode and admins exist"): _press_admin,
    ("idle", "long press; `admin` mode without any admin"): _press_no_admin,
    ("idle, done, failed", "request from the command line"): _command,
    ("authorising", "an admin is granted"): _admin_granted,
    ("authorising", "somebody else is granted"): _other_granted,
    ("armed", "the authorising admin's own face"): _admin_in_view,
    ("armed", "a stranger's good crop"): _first_crop,
    ("capturing", "a good crop in a new pose, late enough"): _next_crop,
    ("capturing", "the last crop wanted"): _last_crop,
    ("capturing", "the last crop wanted; by button, to be confirmed"): _to_be_confirmed,
    ("confirming", "press"): _confirmed,
    ("armed, capturing", "twice somebody already enrolled"): _duplicate,
    ("armed, capturing", "the person whose images these become"): _the_same_person,
    ("capturing", "twice several faces"): _second_face,
    ("capturing", "three times another face than the one kept"): _another_person,
    ("saving", "saved; save failed"): _answer,
    ("all but idle/saving", "press; request to abort"): _aborted,
    ("all but idle/saving", "the client that asked renews"): _renewed,
    ("all but idle/saving", "the client that asked is gone"): _client_gone,
    ("all but idle/saving", "button stuck; fault; shutdown"): _broken,
    ("confirming", "its time is over"): _not_confirmed,
    ("armed, capturing", "its time is over, the last face not upright"): _not_upright,
    ("armed, capturing", "its time is over, the last face unfamiliar"): _unfamiliar,
    ("armed, capturing", "a face not proven alive"): _not_proven,
    ("armed, capturing", "its time is over, the last face not alive"): _not_alive,
    ("all but idle/saving", "its time is over, pose never varied"): _still,
    ("all but idle/saving", "its time is over otherwise"): _late,
    ("done, failed", "its time is over, or a press"): _result_shown,
}


def test_the_table_in_the_docstring_is_the_one_tested() -> None:
    """The specification has no row without a test, and no test without a row."""
    lines = [line for line in (enrolment.__doc__ or "").splitlines() if line.startswith("|")][2:]
    assert [tuple(cell.strip() for cell in line.split("|")[1:3]) for line in lines] == list(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=" + ".join)
def test_row(row: tuple[str, str]) -> None:
    """Each row of the table holds."""
    ROWS[row]()


def test_the_first_look_alike_is_remembered_and_enrolment_goes_on() -> None:
    """A quarter of somebody else's references is close enough for a warning, not for a refusal."""
    close = Verdict(reason=Reason.TOO_FEW_DETECTIONS, person=BEN, share=0.25, detections=2, references=8)
    far = Verdict(reason=Reason.TOO_FEW_DETECTIONS, person=BEN, share=0.24, detections=2, references=8)
    state = run(armed(), seen(far))
    assert isinstance(state, Capturing)
    assert state.lookalike is None
    state = run(state, seen(close, yaw=0.2, share=1.0), now=102.0)
    assert isinstance(state, Capturing)
    assert state.lookalike is close
    state = run(state, seen(far, yaw=0.4, share=1.0), now=103.0)
    assert isinstance(state, Saving)
    assert state.lookalike is close


def test_every_failure_says_what_to_do() -> None:
    """No failure without a hint."""
    assert all(reason.hint for reason in Failure)
