"""From what is seen over time to granted, refused and locked out."""

from __future__ import annotations

import numpy as np
import pytest

from facelatch.config.machines import SessionConfig
from facelatch.machines import session
from facelatch.machines.session import (
    Cooling,
    Ending,
    Gathering,
    Idle,
    LockedOut,
    Phase,
    Refused,
    Session,
    Starting,
    advance,
)
from facelatch.values.observations import Judged, NoFace, Observation, Reason, SeveralFaces, Unusable, Verdict
from facelatch.values.pictures import Box, Face, Pose
from facelatch.values.records import Person, Throttle

SETTINGS = SessionConfig(
    required_matches=3,
    refusal_frames=4,
    silence_seconds=2.0,
    retry_seconds=3.0,
    cooldown_seconds=5.0,
    refusals_before_lockout=2,
    lockout_seconds=30.0,
    lockout_factor=2.0,
    max_lockout_seconds=100.0,
)
ADA, BEN = Person(1, "ada"), Person(2, "ben")
FACE = Face(Box(0, 0, 50, 50), np.zeros((5, 2), np.float32), 0.9)


def judged(verdict: Verdict) -> Judged:
    nothing = np.zeros(0, np.float32)
    return Judged(
        frame=0,
        track=1,
        frames=1,
        seconds=0.0,
        face=FACE,
        pose=Pose(0, 0, 0),
        verdict=verdict,
        crop=np.zeros((112, 112, 3), np.uint8),
        embedding=nothing,
        similarities=nothing,
    )


def match(person: Person) -> Judged:
    return judged(Verdict(reason=Reason.MATCHED, person=person, share=1.0, detections=8, references=8))


NO_MATCH = judged(Verdict(reason=Reason.NOT_RECOGNISED))
ALIKE = judged(Verdict(reason=Reason.TOO_FEW_DETECTIONS, person=BEN, share=0.25, detections=2, references=8))
NOBODY = judged(Verdict(reason=Reason.NOBODY_ENROLLED))
DARK = Unusable(Reason.TOO_DARK, FACE)
TWO = Gathering(seen=100.0, person=ADA, count=2)
NO_REFUSALS = Throttle()


def after(
    phase: Phase, observation: Observation | None, now: float = 100.1, throttle: Throttle = NO_REFUSALS
) -> Session:
    return advance(Session(phase=phase, throttle=throttle), observation, now, SETTINGS)


def counts(state: Session) -> tuple[str | None, int, int]:
    """Who is being recognised, how often in a row, and how many frames speak against it."""
    assert isinstance(state.phase, Gathering)
    return (state.phase.person.name if state.phase.person else None, state.phase.count, state.phase.unmatched)


def endings(state: Session) -> list[tuple[Ending, str]]:
    return [(outcome.ending, outcome.reason) for outcome in state.outcomes]


def _starting_locked_out() -> None:
    state = after(Starting(), match(ADA), throttle=Throttle(7, 60.0))
    assert state.phase == LockedOut(160.1)
    assert after(Starting(), None, throttle=Throttle(7, 5000.0)).phase == LockedOut(200.1)


def _starting_idle() -> None:
    state = after(Starting(), None, throttle=Throttle(1, 0.0))
    assert (state.phase, state.throttle) == (Idle(), Throttle(1, 0.0))


def _idle_quiet() -> None:
    assert after(Idle(), None).phase == after(Idle(), NoFace()).phase == Idle()


def _idle_face() -> None:
    assert counts(after(Idle(), match(ADA))) == ("ada", 1, 0)
    assert counts(after(Idle(), NO_MATCH)) == (None, 0, 1)
    assert counts(after(Idle(), DARK)) == counts(after(Idle(), SeveralFaces(2))) == (None, 0, 0)


def _stepped_aside() -> None:
    left = after(Gathering(seen=100.0, person=None, count=0, unmatched=3), None, 102.1)
    again = advance(left, NO_MATCH, 125.0, SETTINGS)
    assert endings(again) == [(Ending.REFUSED, "not_recognised")]
    assert counts(advance(left, NO_MATCH, 130.1, SETTINGS)) == (None, 0, 1)


def _same_person() -> None:
    assert counts(after(Gathering(seen=100.0, person=ADA, count=1), match(ADA))) == ("ada", 2, 0)


def _another_person() -> None:
    state = after(TWO, match(BEN))
    assert counts(state) == ("ben", 1, 1)
    assert isinstance(state.phase, Gathering)
    assert state.phase.tally == {Reason.AMBIGUOUS: 1}


def _no_match() -> None:
    for seen in (
        NO_MATCH,
        ALIKE,
        judged(Verdict(reason=Reason.AMBIGUOUS, person=ADA, share=0.9, detections=7, references=8)),
    ):
        assert counts(after(TWO, seen)) == (None, 0, 1)


def _nobody_enrolled() -> None:
    state = Session(phase=Idle())
    for frame in range(100):
        state = advance(state, NOBODY, 100 + frame / 10, SETTINGS)
    assert counts(state) == (None, 0, 0)


def _no_decision() -> None:
    for seen in (DARK, SeveralFaces(2), NoFace()):
        assert counts(after(TWO, seen)) == (None, 0, 0)


def _grant() -> None:
    state = after(TWO, match(ADA), throttle=Throttle(1, 0.0))
    assert state.phase == Cooling(ADA, 105.1)
    assert state.throttle == Throttle()
    assert endings(state) == [(Ending.GRANTED, "matched")]
    assert state.granted is state.outcomes[0]


def _refusal() -> None:
    tally = {Reason.NOT_RECOGNISED: 2, Reason.TOO_DARK: 9, Reason.TOO_FEW_DETECTIONS: 1}
    state = after(Gathering(seen=100.0, person=None, count=0, unmatched=3, tally=tally), ALIKE)
    assert (state.phase, state.throttle) == (Refused(103.1), Throttle(1, 0.0))
    assert endings(state) == [(Ending.REFUSED, "not_recognised")]
    assert state.outcomes[0].verdict is ALIKE.verdict


def _lockout() -> None:
    state = after(
        Gathering(seen=100.0, person=None, count=0, unmatched=3), NO_MATCH, throttle=Throttle(1, 0.0)
    )
    assert (state.phase, state.throttle) == (LockedOut(130.1), Throttle(2, 30.0))
    assert endings(state) == [(Ending.REFUSED, "not_recognised")]


def _silence() -> None:
    assert after(TWO, None, 102.0).phase == TWO
    state = after(
        Gathering(seen=100.0, person=None, count=0, unmatched=1, tally={Reason.TOO_DARK: 3}), NoFace(), 102.1
    )
    assert (state.phase, state.throttle) == (Idle(), Throttle())
    assert endings(state) == [(Ending.ABANDONED, "too_dark")]


def _interrupted() -> None:
    state = session.interrupt(Session(phase=TWO), "enrolment", "the button was pressed")
    assert state.phase == Idle()
    assert endings(state) == [(Ending.ABANDONED, "enrolment")]
    for phase in (Idle(), Cooling(ADA, 105.0), LockedOut(130.0)):
        assert session.interrupt(Session(phase=phase), "enrolment", "") == Session(phase=phase)


def _cooling() -> None:
    assert after(Cooling(ADA, 105.0), match(BEN), 104.9).phase == Cooling(ADA, 105.0)


def _cooled() -> None:
    assert after(Cooling(ADA, 105.0), NoFace(), 105.0).phase == Idle()
    assert counts(after(Cooling(ADA, 105.0), match(BEN), 105.0)) == ("ben", 1, 0)


def _refused() -> None:
    assert after(Refused(103.0), match(BEN), 102.9).phase == Refused(103.0)


def _may_retry() -> None:
    assert after(Refused(103.0), NoFace(), 103.0).phase == Idle()
    assert counts(after(Refused(103.0), match(BEN), 103.0)) == ("ben", 1, 0)


def _locked_out() -> None:
    state = after(LockedOut(130.0), match(ADA), 129.9, Throttle(2, 30.0))
    assert (state.phase, state.throttle) == (LockedOut(130.0), Throttle(2, 30.0))


def _lockout_over() -> None:
    state = after(LockedOut(130.0), match(ADA), 130.0, Throttle(2, 30.0))
    assert counts(state) == ("ada", 1, 0)
    assert state.throttle == Throttle(2, 0.0)


ROWS = {
    ("starting", "a lock-out was in force before"): _starting_locked_out,
    ("starting", "none was"): _starting_idle,
    ("idle", "nothing new, or no face"): _idle_quiet,
    ("idle", "a face"): _idle_face,
    ("idle", "a face soon after an abandoned visit"): _stepped_aside,
    ("gathering", "match of the same person"): _same_person,
    ("gathering", "match of another person"): _another_person,
    ("gathering", "judged, no match"): _no_match,
    ("gathering", "judged, but nobody is enrolled"): _nobody_enrolled,
    ("gathering", "unusable, several faces, no face"): _no_decision,
    ("gathering", "count reaches `required_matches`"): _grant,
    ("gathering", "unmatched reaches `refusal_frames`"): _refusal,
    ("gathering", "the same, `refusals_before_lockout` times"): _lockout,
    ("gathering", "no face for `silence_seconds`"): _silence,
    ("gathering", "interrupted"): _interrupted,
    ("cooling", "anything, for `cooldown_seconds`"): _cooling,
    ("cooling", "its time is over"): _cooled,
    ("refused", "anything, for `retry_seconds`"): _refused,
    ("refused", "its time is over"): _may_retry,
    ("locked out", "anything, before its end"): _locked_out,
    ("locked out", "its time is over"): _lockout_over,
}


def test_the_table_in_the_docstring_is_the_one_tested() -> None:
    """The specification has no row without a test, and no test without a row."""
    lines = [line for line in (session.__doc__ or "").splitlines() if line.startswith("|")][2:]
    assert [tuple(cell.strip() for cell in line.split("|")[1:3]) for line in lines] == list(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=" + ".join)
def test_row(row: tuple[str, str]) -> None:
    """Each row of the table holds."""
    ROWS[row]()


def test_lockouts_grow_up_to_their_maximum_and_never_overflow() -> None:
    """Every further refusal is dearer, until the longest; a million refusals are no arithmetic trouble."""
    seconds = []
    for refusals in (0, 1, 2, 3, 4, 1_000_000):
        state = after(
            Gathering(seen=100.0, person=None, count=0, unmatched=3),
            NO_MATCH,
            throttle=Throttle(refusals, 0.0),
        )
        seconds.append(state.throttle.lockout_seconds)
    assert seconds == [0.0, 30.0, 60.0, 100.0, 100.0, 100.0]


def test_two_people_in_turn_are_refused_not_granted() -> None:
    """A face that is now one person and now another is evidence for neither."""
    state, now = Session(phase=Idle()), 100.0
    while not state.outcomes:
        now += 0.1
        state = advance(state, match(ADA if round(now * 10) % 2 else BEN), now, SETTINGS)
    assert endings(state) == [(Ending.REFUSED, "ambiguous")]


def test_someone_who_stays_after_a_refusal_begins_another_attempt() -> None:
    """Standing still is enough for the second refusal and the lock-out, but not without a pause between."""
    state, ended = Session(phase=Idle()), []
    for frame in range(8):
        state = advance(state, NO_MATCH, 100 + frame / 10, SETTINGS)
        ended += endings(state)
    assert ended == [(Ending.REFUSED, "not_recognised")]
    for frame in range(8, 8 + 31):
        state = advance(state, NO_MATCH, 100 + frame / 10, SETTINGS)
        ended += endings(state)
    assert ended == [(Ending.REFUSED, "not_recognised")] * 2
    assert isinstance(state.phase, LockedOut)


def test_one_turn_can_end_one_visit_and_decide_the_next() -> None:
    """A slow camera loses no outcome: the old visit fell silent, the new one is granted by its only frame."""
    at_once = SETTINGS.model_copy(update={"required_matches": 1})
    state = advance(
        Session(phase=Gathering(seen=100.0, person=None, count=0, unmatched=1, tally={Reason.BLURRED: 1})),
        match(ADA),
        110.0,
        at_once,
    )
    assert endings(state) == [(Ending.ABANDONED, "blurred"), (Ending.GRANTED, "matched")]
