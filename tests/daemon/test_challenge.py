"""A request to turn the head: row by row, and what a recording that does not see the light can reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sightings import FACE, judged

from facelatch.machines import challenge
from facelatch.machines.challenge import (
    Asked,
    Challenge,
    Held,
    Idle,
    Result,
    Side,
    Straight,
    advance,
    begin,
    dropped,
)
from facelatch.machines.session_states import Ending, Outcome
from facelatch.values.liveness import Proof
from facelatch.values.observations import Judged, NoFace, Observation, Reason, SeveralFaces, Unusable, Verdict
from facelatch.values.records import Person

ADA, BEN = Person(1, "ada"), Person(2, "ben")
FRAME = 1 / 15
TURNS = 5
OUTCOME = Outcome(ending=Ending.GRANTED, reason="matched", hint="", verdict=None, frames=3)
HELD = Held(person=ADA, track=1, outcome=OUTCOME)
LEFT_FIRST, RIGHT_FIRST = 0b00000, 0b11111


def face(parallax: float | None, person: Person = ADA, track: int = 1, proof: Proof = Proof.LIVE) -> Judged:
    verdict = Verdict(reason=Reason.MATCHED, person=person, share=1.0, detections=8, references=8)
    return replace(judged(verdict, track), parallax=parallax, proof=proof)


STRANGE = replace(judged(Verdict(reason=Reason.TOO_FEW_DETECTIONS, person=ADA)), parallax=0.6)


def play(
    state: Challenge, shown: Callable[[Challenge, float], Observation | None], seconds: float, frame: float = FRAME
) -> tuple[Challenge, float]:
    """The state when the request ends, or after so many seconds, and how long it took."""
    now = 0.0
    while state.result is None and now < seconds:
        now += frame
        state = advance(state, shown(state, now), now)
    return state, now


def obedient(reaction: float) -> Callable[[Challenge, float], Observation]:
    """Whoever does as asked `reaction` seconds after the light has changed."""
    seen: list[tuple[float, float]] = [(0.0, 0.0)]

    def shown(state: Challenge, now: float) -> Observation:
        wanted = 0.0
        if isinstance(state.phase, Asked):
            wanted = 0.45 if state.phase.request.side is Side.LEFT else -0.45
        if seen[-1][1] != wanted:
            seen.append((now, wanted))
        past = [value for when, value in seen if when <= now - reaction]
        return face(past[-1] if past else 0.0)

    return shown


def asked(draw: int = LEFT_FIRST) -> Challenge:
    """After the first pause."""
    state, _ = play(begin(HELD, draw, TURNS, 0.0), lambda _state, _now: face(0.0), 1.0)
    assert isinstance(state.phase, Asked)
    return state


@settings(max_examples=20)
@given(st.integers(0, 2**15 - 1), st.floats(0.3, 2.0), st.sampled_from([1 / 15, 1 / 5, 0.9]))
def test_whoever_does_as_asked_is_let_through(draw: int, reaction: float, frame: float) -> None:
    """Whatever was drawn and at every speed of a camera; at five pictures a second within half a minute."""
    state, seconds = play(begin(HELD, draw, TURNS, 0.0), obedient(reaction), 60.0, frame)
    assert state.result is Result.ANSWERED
    assert state.ended is not None
    assert state.ended.held is HELD
    assert seconds < 30.0 or frame > 0.2


def clip(turns: list[tuple[float, float]]) -> Callable[[Challenge, float], Observation]:
    """A recording that turns to these sides at these times, for a second each; it does not see the light."""

    def shown(_state: Challenge, now: float) -> Observation:
        return face(sum(side for begins, side in turns if begins <= now < begins + 1.0))

    return shown


@settings(max_examples=10)
@given(st.lists(st.tuples(st.floats(0.1, 4.0), st.sampled_from([-0.5, 0.5])), min_size=TURNS, max_size=12), st.data())
def test_a_recording_passes_one_sequence_of_sides_at_most(
    steps: list[tuple[float, float]], data: st.DataObject
) -> None:
    """Of the 32 that may be drawn, whatever it shows and however the pauses fall: a guess of 1 in 32."""
    turns, time = [], 0.0
    for pause, side in steps:
        time += pause + 1.0
        turns.append((time, side))
    pauses = data.draw(st.integers(0, 2 ** (2 * TURNS) - 1)) << TURNS
    passed = 0
    for sides in range(2**TURNS):
        state, _ = play(begin(HELD, pauses | sides, TURNS, 0.0), clip(turns), 40.0, 0.2)
        passed += state.result is Result.ANSWERED
    assert passed <= 1


def test_a_recording_that_fits_the_times_passes_exactly_one_of_32() -> None:
    """So the bound is reached: the pauses are no further help where a recording waits long enough."""
    turns = [(2.5 + 4.0 * number, 0.5) for number in range(TURNS)]
    results = [play(begin(HELD, draw, TURNS, 0.0), clip(turns), 60.0)[0].result for draw in range(2**TURNS)]
    assert results.count(Result.ANSWERED) == 1
    assert results.count(Result.WRONG_SIDE) == 31


@pytest.mark.parametrize("turns", [5, 8, 12])
def test_every_bit_of_the_draw_is_used_once(turns: int) -> None:
    """One a side, two a pause, and every combination of sides has its draw."""
    drawn = [begin(HELD, draw, turns, 0.0).request for draw in range(2**5)]
    assert {one.sides[:5] for one in drawn if one} == set(product(Side, repeat=5))
    most = begin(HELD, 2 ** (3 * turns) - 1, turns, 0.0).request
    assert most is not None
    assert most.pauses == (challenge.PAUSES[-1],) * turns
    assert most.sides == (Side.RIGHT,) * turns


def test_a_picture_that_shows_no_depth_is_too_late() -> None:
    """However it is waved: its parallax stays as it is, but for the noise of landmarks."""
    wobble = [0.0, 0.1, -0.1, 0.14, -0.05]
    state, seconds = play(
        begin(HELD, LEFT_FIRST, TURNS, 0.0), lambda _state, now: face(wobble[round(now * 15) % 5]), 20.0
    )
    assert state.result is Result.TOO_LATE
    assert state.result.reason is Reason.NO_MOTION
    assert seconds < 8.0


@pytest.mark.parametrize("draw", [LEFT_FIRST, RIGHT_FIRST])
def test_the_wrong_side_ends_it_at_once(draw: int) -> None:
    """There is no second try within a request: each would be a bit less."""
    state = asked(draw)
    wrong = -0.4 if draw is LEFT_FIRST else 0.4
    state = advance(state, face(wrong), 2.0)
    assert state.result is Result.WRONG_SIDE
    assert isinstance(state.phase, Idle)


def test_your_left_is_the_right_of_the_picture() -> None:
    """Whoever turns to the own left moves the nose to the right of what the camera sees."""
    state = advance(asked(LEFT_FIRST), face(0.4), 2.0)
    assert state.request is not None
    assert state.request.answered == 1


def test_a_turn_before_anybody_could_have_seen_the_light_is_no_answer() -> None:
    """The pause begins anew, and the side stays as it was drawn: nothing is gained by trying."""
    state = asked()
    assert isinstance(state.phase, Asked)
    early = advance(state, face(0.4), state.phase.since + 0.1)
    assert isinstance(early.phase, Straight)
    assert early.phase.request.answered == 0
    assert early.phase.request.sides == state.phase.request.sides


def test_nothing_is_asked_of_a_face_that_does_not_come_to_rest() -> None:
    """A face that turns to and fro is never asked, and its time is over."""
    state, _ = play(begin(HELD, LEFT_FIRST, TURNS, 0.0), lambda _s, now: face(0.4 * (round(now * 15) % 2)), 20.0)
    assert state.result is Result.TOO_LATE


@pytest.mark.parametrize(
    ("shown", "result"),
    [
        (face(0.4, BEN), Result.ANOTHER_FACE),
        (face(0.4, track=2), Result.ANOTHER_FACE),
        (SeveralFaces(2), Result.ANOTHER_FACE),
        (Unusable(Reason.TURNED_AWAY, FACE, track=0), Result.ANOTHER_FACE),
        (face(0.4, proof=Proof.FLAT), Result.FLAT),
        (face(0.4, proof=Proof.SCREEN), Result.SCREEN),
        (face(0.4, proof=Proof.NOT_LIVE), Result.NOT_LIVE),
        (face(0.4, proof=Proof.DOUBT), None),
        (Unusable(Reason.TURNED_AWAY, FACE, track=1), None),
        (NoFace(), None),
        (None, None),
    ],
)
def test_it_has_to_be_the_same_living_face_all_along(shown: Observation | None, result: Result | None) -> None:
    """Another one ends it; one that is not to be seen well does not, and does not count either."""
    state = advance(asked(), shown, 1.3)
    assert state.result is result
    if result is None and not isinstance(shown, Judged):
        assert state.request is not None
        assert state.request.answered == 0


def test_a_turned_face_that_is_not_recognised_is_no_answer() -> None:
    """Only pictures that match the person count: whoever else turns the head answers for nobody."""
    state = advance(asked(), STRANGE, 2.0)
    assert isinstance(state.phase, Asked)
    state = advance(state, face(None), 2.1)
    assert isinstance(state.phase, Asked)


def test_a_face_out_of_view_is_lost() -> None:
    """Also where nothing but time passes."""
    state, seconds = play(asked(), lambda _state, _now: NoFace(), 9.0)
    assert state.result is Result.LOST
    assert seconds < 3.0


def test_without_random_bits_nobody_is_let_in() -> None:
    """A request that could be foreseen is none."""
    state = begin(HELD, None, TURNS, 0.0)
    assert state.result is Result.NOT_ASKED
    assert state.result.refuses
    assert state.request is None


def test_what_takes_over_ends_it_without_a_refusal() -> None:
    """An enrolment or a fault is nobody's attempt; a result is said on one turn only."""
    state = dropped(asked())
    assert state.result is Result.INTERRUPTED
    assert not state.result.refuses
    assert advance(state, face(0.0), 3.0) == Challenge()
    assert dropped(Challenge()) == Challenge()


SHOWN: st.SearchStrategy[Observation | None] = st.one_of(
    st.builds(
        face,
        st.one_of(st.none(), st.floats(-2, 2), st.just(float("nan"))),
        st.sampled_from([ADA, ADA, ADA, BEN]),
        st.sampled_from([1, 1, 1, 2]),
        st.sampled_from(list(Proof)),
    ),
    st.sampled_from([None, NoFace(), SeveralFaces(2), STRANGE, Unusable(Reason.BLURRED, FACE, track=1)]),
)


@given(st.integers(0, 2**15 - 1), st.lists(st.tuples(SHOWN, st.floats(0, 2)), max_size=40))
def test_it_is_total_and_ends_in_time(draw: int, steps: list[tuple[Observation | None, float]]) -> None:
    """Whatever comes: no answer counts without a matching picture turned that way, and nobody is asked for ever."""
    state, now, right = begin(HELD, draw, TURNS, 0.0), 0.0, 0
    for shown, seconds in steps:
        now += seconds
        before, state = state, advance(state, shown, now)
        done = state.ended if state.ended is not None else state.request
        if before.request is not None and done is not None and done.answered > before.request.answered:
            assert isinstance(shown, Judged)
            assert shown.verdict.person == ADA
            assert shown.track == 1
            right += 1
        if state.result is Result.ANSWERED:
            assert right == TURNS
        assert state.request is None or now < challenge.MOST_SECONDS * TURNS
