"""From what is seen over time to granted, refused and locked out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sightings import FACE, judged

from facelatch.config.machines import SessionConfig
from facelatch.machines import session
from facelatch.machines.session import UNDECIDED_SECONDS, advance
from facelatch.machines.session_states import (
    Cooling,
    Ending,
    Gathering,
    Idle,
    LockedOut,
    Pausing,
    Phase,
    Present,
    Refused,
    Session,
    Starting,
)
from facelatch.machines.throttle import Bucket
from facelatch.values.liveness import Proof
from facelatch.values.observations import Judged, NoFace, Observation, Reason, SeveralFaces, Unusable, Verdict
from facelatch.values.records import Person, Throttle

SETTINGS = SessionConfig(
    required_matches=3,
    refusal_frames=4,
    bridge_seconds=0.6,
    silence_seconds=2.0,
    retry_seconds=3.0,
    cooldown_seconds=5.0,
    rearm_seconds=2.0,
    refusals_before_lockout=2,
    lockout_seconds=30.0,
    lockout_factor=2.0,
    max_lockout_seconds=100.0,
    fade_seconds=120.0,
)
ADA, BEN = Person(1, "ada"), Person(2, "ben")


def match(person: Person, track: int = 1) -> Judged:
    return judged(Verdict(reason=Reason.MATCHED, person=person, share=1.0, detections=8, references=8), track)


def stranger(track: int = 1) -> Judged:
    return judged(Verdict(reason=Reason.NOT_RECOGNISED), track)


def shown(proof: Proof) -> Judged:
    """A match of Ada, of whose being alive this is known."""
    return replace(match(ADA), proof=proof)


NO_MATCH = stranger()
ALIKE = judged(Verdict(reason=Reason.TOO_FEW_DETECTIONS, person=BEN, share=0.25, detections=2, references=8))
NOBODY = judged(Verdict(reason=Reason.NOBODY_ENROLLED))
DARK = Unusable(Reason.TOO_DARK, FACE)


def gathering(**changes: Any) -> Gathering:
    """A visit that began at 100 s, of whoever is on track 1."""
    return replace(Gathering(began=100.0, seen=100.0, track=1, matched=100.0), **changes)


TWO = gathering(person=ADA, count=2)
OPEN = Bucket(frames=0.0, at=100.0)
SHUT = Bucket(frames=8.0, at=100.0, shut_until=130.0, seconds=30.0)


def after(
    phase: Phase, observation: Observation | None, now: float = 100.1, bucket: Bucket = OPEN, **changes: Any
) -> Session:
    return advance(Session(phase=phase, bucket=bucket, **changes), observation, now, SETTINGS)


def counts(state: Session) -> tuple[str | None, int, int]:
    """Who is being recognised, how often in a row, and how many frames speak against it."""
    assert isinstance(state.phase, Gathering)
    return (state.phase.person.name if state.phase.person else None, state.phase.count, state.phase.unmatched)


def endings(state: Session) -> list[tuple[Ending, str]]:
    return [(outcome.ending, outcome.reason) for outcome in state.outcomes]


def _not_alive() -> None:
    for proof in (Proof.FLAT, Proof.SCREEN, Proof.NOT_LIVE):
        assert counts(after(TWO, shown(proof))) == (None, 0, 1)
        state = after(gathering(person=ADA, count=2, unmatched=3), shown(proof))
        assert endings(state) == [(Ending.REFUSED, proof.value)]


def _too_early() -> None:
    waiting = after(gathering(person=ADA, count=7), shown(Proof.GATHERING))
    assert counts(waiting) == ("ada", 8, 0)
    assert endings(advance(waiting, shown(Proof.LIVE), 100.2, SETTINGS)) == [(Ending.GRANTED, "matched")]


def _in_doubt() -> None:
    doubtful = after(gathering(person=ADA, count=2), shown(Proof.DOUBT))
    assert endings(doubtful) == [(Ending.GRANTED, "matched")]


def _starting_locked_out() -> None:
    state = after(Starting(), match(ADA), throttle=Throttle(7, 60.0))
    assert isinstance(state.phase, LockedOut)
    assert state.phase.until == 160.1
    longest = after(Starting(), None, throttle=Throttle(7, 5000.0))
    assert longest.phase == LockedOut(200.1)


def _starting_idle() -> None:
    state = after(Starting(), None, throttle=Throttle(1, 0.0))
    assert (state.phase, state.throttle) == (Idle(), Throttle(1, 0.0))


def _idle_quiet() -> None:
    assert after(Idle(), None).phase == after(Idle(), NoFace()).phase == Idle()


def _idle_face() -> None:
    assert counts(after(Idle(), match(ADA))) == ("ada", 1, 0)
    assert counts(after(Idle(), NO_MATCH)) == (None, 0, 1)
    assert counts(after(Idle(), DARK)) == counts(after(Idle(), SeveralFaces(2))) == (None, 0, 0)


def _idle_pausing() -> None:
    pausing = Pausing(track=1, refusals=2, until=110.0)
    assert after(Idle(), match(BEN), pausing=pausing).phase == Idle()
    assert counts(after(Idle(), match(BEN, track=2), pausing=pausing)) == ("ben", 1, 0)
    assert counts(after(Idle(), match(BEN), 110.0, pausing=pausing)) == ("ben", 1, 0)


def _idle_present() -> None:
    present = (Present(person=ADA, track=1, seen=100.0),)
    for seen in (match(ADA), match(ADA, track=7), NO_MATCH):
        state = after(Idle(), seen, 101.0, present=present)
        assert (state.phase, state.present) == (Idle(), (Present(person=ADA, track=1, seen=101.0, said=True),))
    assert after(Idle(), DARK, 103.0, present=present).present == ()
    assert counts(after(Idle(), match(ADA, track=7), 102.1, present=())) == ("ada", 1, 0)


def _gathering_either() -> None:
    present, pausing = (Present(person=BEN, track=9, seen=100.0),), Pausing(track=8, refusals=1, until=110.0)
    for seen in (match(BEN, track=9), stranger(8)):
        assert counts(after(TWO, seen, present=present, pausing=pausing)) == (None, 0, 0)


def _same_person() -> None:
    assert counts(after(gathering(person=ADA, count=1), match(ADA))) == ("ada", 2, 0)


def _another_track() -> None:
    assert counts(after(TWO, match(ADA, track=2))) == ("ada", 1, 0)


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


def _bridged() -> None:
    for seen in (DARK, NoFace()):
        assert counts(after(TWO, seen, 100.6)) == ("ada", 2, 0)
    assert endings(advance(after(TWO, DARK, 100.5), match(ADA), 100.6, SETTINGS)) == [
        (Ending.GRANTED, "matched")
    ]


def _bridge_too_long() -> None:
    for seen in (DARK, NoFace()):
        assert counts(after(TWO, seen, 100.7)) == (None, 0, 0)


def _doubtful_frame() -> None:
    assert counts(after(TWO, SeveralFaces(2))) == (None, 0, 0)
    assert counts(session.withhold(Session(phase=TWO))) == (None, 0, 0)
    assert session.withhold(Session(phase=Idle())) == Session(phase=Idle())


def _grant() -> None:
    state = after(TWO, match(ADA), bucket=Bucket(frames=5.0, at=100.0))
    assert state.phase == Cooling(ADA, 105.1)
    assert (state.throttle, state.bucket.frames) == (Throttle(), 0.0)
    assert endings(state) == [(Ending.GRANTED, "matched")]
    assert state.granted is state.outcomes[0]
    assert (state.present, state.ended_tracks) == ((Present(person=ADA, track=1, seen=100.1),), (1,))


def _refusal() -> None:
    tally = {Reason.NOT_RECOGNISED: 2, Reason.TOO_DARK: 9, Reason.TOO_FEW_DETECTIONS: 1}
    state = after(gathering(unmatched=3, tally=tally), ALIKE)
    assert (state.phase, state.throttle) == (Refused(103.1), Throttle(1, 0.0))
    assert state.pausing == Pausing(track=1, refusals=1, until=103.1)
    assert endings(state) == [(Ending.REFUSED, "not_recognised")]
    assert state.outcomes[0].verdict is ALIKE.verdict


def _lockout() -> None:
    state = after(gathering(unmatched=3), NO_MATCH, bucket=Bucket(frames=4.0, at=100.1))
    assert (state.phase, state.throttle) == (LockedOut(130.1), Throttle(2, 30.0))
    assert endings(state) == [(Ending.REFUSED, "not_recognised")]


def _silence() -> None:
    assert after(TWO, None, 102.0).phase == TWO
    state = after(gathering(unmatched=1, tally={Reason.TOO_DARK: 3}), NoFace(), 102.1)
    assert (state.phase, state.bucket.frames) == (Idle(), 1.0)
    assert endings(state) == [(Ending.ABANDONED, "too_dark")]


def _undecided() -> None:
    late = 100.1 + UNDECIDED_SECONDS
    state = after(gathering(seen=late, tally={Reason.TOO_SMALL: 3}), DARK, late)
    assert endings(state) == [(Ending.ABANDONED, "too_small")]


def _interrupted() -> None:
    before = Session(phase=gathering(unmatched=3), bucket=OPEN)
    state = session.interrupt(before, "enrolment", "the button was pressed", 100.0, SETTINGS)
    assert (state.phase, state.bucket.frames) == (Idle(), 3.0)
    assert endings(state) == [(Ending.ABANDONED, "enrolment")]
    for phase in (Idle(), Cooling(ADA, 105.0), LockedOut(130.0)):
        untouched = Session(phase=phase)
        assert session.interrupt(untouched, "enrolment", "", 100.0, SETTINGS) == untouched


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
    first = after(LockedOut(130.0), match(ADA), 110.0, SHUT)
    assert endings(first) == [(Ending.TURNED_AWAY, "locked_out")]
    assert "20 s" in first.outcomes[0].hint
    still_there = advance(first, match(ADA), 111.0, SETTINGS)
    assert endings(still_there) == []
    later = advance(still_there, DARK, 114.0, SETTINGS)
    assert endings(later) == [(Ending.TURNED_AWAY, "locked_out")]
    assert isinstance(later.phase, LockedOut)


def _lockout_over() -> None:
    state = after(LockedOut(130.0), match(ADA), 130.0, SHUT)
    assert counts(state) == ("ada", 1, 0)
    assert state.throttle == Throttle(2, 0.0), "what led to it is not forgotten yet"


ROWS = {
    ("starting", "a lock-out was in force before"): _starting_locked_out,
    ("starting", "none was"): _starting_idle,
    ("idle", "nothing new, or no face"): _idle_quiet,
    ("idle", "a face"): _idle_face,
    ("idle", "a visitor who has to pause"): _idle_pausing,
    ("idle", "somebody granted who has not been away"): _idle_present,
    ("gathering", "a picture of either"): _gathering_either,
    ("gathering", "match of the same person on the same track"): _same_person,
    ("gathering", "match of the same person on another track"): _another_track,
    ("gathering", "match of another person"): _another_person,
    ("gathering", "judged, no match"): _no_match,
    ("gathering", "match, but no living face"): _not_alive,
    ("gathering", "judged, but nobody is enrolled"): _nobody_enrolled,
    ("gathering", "unusable or no face for `bridge_seconds`"): _bridged,
    ("gathering", "the same for longer"): _bridge_too_long,
    ("gathering", "several faces, or a frame was withheld"): _doubtful_frame,
    ("gathering", "count reaches `required_matches`, alive"): _grant,
    ("gathering", "the same, in doubt whether alive"): _in_doubt,
    ("gathering", "the same, too early to say whether alive"): _too_early,
    ("gathering", "unmatched reaches `refusal_frames`"): _refusal,
    ("gathering", "the same, and the throttle shuts"): _lockout,
    ("gathering", "no face for `silence_seconds`"): _silence,
    ("gathering", "undecided for UNDECIDED_SECONDS"): _undecided,
    ("gathering", "interrupted"): _interrupted,
    ("cooling", "anything, for `cooldown_seconds`"): _cooling,
    ("cooling", "its time is over"): _cooled,
    ("refused", "anything, for `retry_seconds`"): _refused,
    ("refused", "its time is over"): _may_retry,
    ("locked out", "a face, before its end"): _locked_out,
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


def test_two_people_in_turn_are_refused_not_granted() -> None:
    """A face that is now one person and now another is evidence for neither."""
    state, now = Session(phase=Idle()), 100.0
    while not state.outcomes:
        now += 0.1
        state = advance(state, match(ADA if round(now * 10) % 2 else BEN), now, SETTINGS)
    assert endings(state) == [(Ending.REFUSED, "ambiguous")]


SEEN = st.sampled_from(
    [match(ADA), match(ADA, 2), match(BEN, 2), NO_MATCH, stranger(2), DARK, NoFace(), SeveralFaces(2)]
)


@given(st.lists(st.tuples(SEEN, st.floats(0.01, 3.0)), max_size=40))
def test_evidence_is_never_handed_over(script: list[tuple[Observation, float]]) -> None:
    """Whatever is seen in whatever order, a grant rests on that many judged frames of one track that matched, without a
    contradiction between them.
    """
    state, now, run = Session(phase=Starting()), 100.0, []
    for seen, step in script:
        now += step
        state = advance(state, seen, now, SETTINGS)
        if isinstance(seen, Judged):
            same = bool(run) and run[-1].track == seen.track and run[-1].verdict.person == seen.verdict.person
            run = ([*run, seen] if same else [seen]) if seen.verdict.matched else []
        elif isinstance(seen, SeveralFaces):
            run = []
        if state.granted:
            assert len(run) >= SETTINGS.required_matches
            run = []


def blinking(period: int, dark: Observation) -> list[Observation]:
    return [dark if number % period == 0 else match(ADA) for number in range(12)]


@pytest.mark.parametrize("script", [blinking(2, DARK), blinking(3, DARK), blinking(2, NoFace())])
def test_a_light_that_blinks_delays_a_grant_by_its_dark_frames_only(script: list[Observation]) -> None:
    """Every second or third frame unlit, or lost: the others still count together."""
    state, granted = Session(phase=Starting()), 0
    for number, seen in enumerate(script):
        state = advance(state, seen, 100 + number / 15, SETTINGS)
        granted += state.granted is not None
    assert granted == 1


def test_a_person_who_stays_is_granted_once() -> None:
    """Forty-three seconds in view, and again after two seconds away."""
    state, granted, now = Session(phase=Starting()), [], 100.0
    for number in range(43 * 15):
        now = 100 + number / 15
        state = advance(state, match(ADA, track=1 + number // 100), now, SETTINGS)
        granted += [now] if state.granted else []
    assert len(granted) == 1
    for number in range(40):
        state = advance(state, NoFace(), now + number / 15, SETTINGS)
    for number in range(3):
        state = advance(state, match(ADA, track=50), now + 3 + number / 15, SETTINGS)
    assert state.granted is not None


def test_a_picture_taken_for_background_keeps_whoever_it_shows_from_a_second_grant() -> None:
    """It is not judged any more, but it is in view."""
    state = after(TWO, match(ADA))
    for number in range(100):
        state = advance(state, NoFace(), 100.1 + number / 10, SETTINGS, background={1})
    assert [one.person for one in state.present] == [ADA]
    assert advance(state, match(ADA, track=9), 110.2, SETTINGS, background={1}).phase == Idle()


def test_somebody_else_is_granted_while_the_first_still_stands_there() -> None:
    """Who stays keeps nobody else out."""
    state = after(TWO, match(ADA))
    granted = None
    for number in range(60):
        seen = match(BEN, track=2) if number % 4 else match(ADA)
        state = advance(state, seen, 105.2 + number / 15, SETTINGS)
        granted = granted or state.granted
    assert granted is not None
    assert granted.verdict is not None
    assert granted.verdict.person == BEN


def test_one_turn_can_end_one_visit_and_decide_the_next() -> None:
    """A slow camera loses no outcome: the old visit fell silent, the new one is granted by its only frame."""
    at_once = SETTINGS.model_copy(update={"required_matches": 1})
    before = Session(phase=gathering(unmatched=1, tally={Reason.BLURRED: 1}), bucket=OPEN)
    state = advance(before, match(ADA), 110.0, at_once)
    assert endings(state) == [(Ending.ABANDONED, "blurred"), (Ending.GRANTED, "matched")]


def test_refusals_forgotten_by_request_open_a_lock_out() -> None:
    """As after a grant."""
    state = session.forgive(Session(phase=LockedOut(130.0), bucket=SHUT, throttle=Throttle(2, 30.0)))
    assert (state.phase, state.bucket, state.throttle) == (Idle(), Bucket(), Throttle())
    assert counts(advance(state, match(ADA), 101.0, SETTINGS)) == ("ada", 1, 0)
