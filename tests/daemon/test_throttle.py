"""How much evidence against visitors is too much, and for whom the door is then shut."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
import sightings

from facelatch.config.machines import SessionConfig
from facelatch.machines import session, throttle
from facelatch.machines.session_states import Ending, Gathering, Idle, LockedOut, Refused, Session
from facelatch.machines.throttle import Bucket, add, pass_time, remembered, restored
from facelatch.values.observations import Judged, NoFace, Observation, Reason, Verdict
from facelatch.values.records import Person, Throttle

SETTINGS = SessionConfig()
SHUT = Bucket(frames=40.0, at=100.0, shut_until=130.0, seconds=30.0)
FOUR_HOURS, FRAME_SECONDS = 4 * 3600.0, 1 / 15


def _leaks() -> None:
    bucket = Bucket(frames=10.0, at=100.0)
    assert pass_time(bucket, 160.0, SETTINGS).frames == pytest.approx(6.0)
    assert pass_time(bucket, 1e6, SETTINGS).frames == 0.0
    assert pass_time(bucket, 50.0, SETTINGS).frames == 10.0, "a clock that runs backwards forgives nothing"


def _visit_counts() -> None:
    assert add(Bucket(frames=1.0, at=100.0), 7, 100.0, SETTINGS).frames == 8.0
    assert add(Bucket(), 0, 100.0, SETTINGS) == Bucket()


def _shuts() -> None:
    bucket = add(Bucket(frames=32.0, at=100.0), 8, 100.0, SETTINGS)
    assert (bucket.shut_until, bucket.seconds) == (130.0, 30.0)
    assert add(Bucket(frames=27.0, at=100.0), 8, 100.0, SETTINGS).shut_until is None


def _grows() -> None:
    seconds = [add(Bucket(frames=frames), 8, 0.0, SETTINGS).seconds for frames in (32, 40, 48, 56, 1e9)]
    assert seconds == [30.0, 60.0, 120.0, 240.0, SETTINGS.max_lockout_seconds]


def _opens() -> None:
    assert pass_time(SHUT, 129.9, SETTINGS).shut_until == 130.0
    bucket = pass_time(SHUT, 130.0, SETTINGS)
    assert (bucket.shut_until, bucket.frames) == (None, pytest.approx(38.0))


def _empties() -> None:
    assert session.forgive(Session(phase=LockedOut(130.0), bucket=SHUT)).bucket == Bucket()


def _restarted() -> None:
    memory = remembered(SHUT, SETTINGS)
    assert memory == Throttle(5, 30.0)
    assert restored(memory, 7.0, SETTINGS) == Bucket(frames=40.0, at=7.0, shut_until=37.0, seconds=30.0)


ROWS = {
    ("any", "time passes"): _leaks,
    ("any", "a visit ends with frames against it"): _visit_counts,
    ("open", "`refusals_before_lockout` attempts' frames"): _shuts,
    ("open", "each further attempt's frames"): _grows,
    ("shut", "its time is over"): _opens,
    ("any", "a grant, or somebody with the right"): _empties,
    ("restarted", "it was shut before"): _restarted,
}


def test_the_table_in_the_docstring_is_the_one_tested() -> None:
    """The specification has no row without a test, and no test without a row."""
    lines = [line for line in (throttle.__doc__ or "").splitlines() if line.startswith("|")][2:]
    assert [tuple(cell.strip() for cell in line.split("|")[1:3]) for line in lines] == list(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=" + ".join)
def test_row(row: tuple[str, str]) -> None:
    """Each row of the table holds."""
    ROWS[row]()


def judged(track: int, person: Person | None = None) -> Judged:
    reason = Reason.NOT_RECOGNISED if person is None else Reason.MATCHED
    return sightings.judged(Verdict(reason=reason, person=person), track)


def stays(track: int = 1) -> Iterator[Observation]:
    while True:
        yield judged(track)


def comes_and_goes(frames: int, away_seconds: float) -> Iterator[Observation]:
    """So many frames in view, so long away, and again as somebody the line has not seen before."""
    for track in count(1):
        for _ in range(frames):
            yield judged(track)
        for _ in range(round(away_seconds / FRAME_SECONDS)):
            yield NoFace()


def frames_judged(
    script: Iterator[Observation], seconds: float, state: Session | None = None
) -> tuple[int, Session, float]:
    """How many frames of `script` counted within `seconds`, 15 a second; the session after that, and when.

    While nobody is judged the time is skipped, not the script: whoever waits goes on when it is over.
    """
    state, now, counted = state or Session(), 0.0, 0
    while now < seconds:
        before = state.phase.unmatched if isinstance(state.phase, Gathering) else 0
        state = session.advance(state, next(script), now, SETTINGS)
        phase = state.phase
        refused = any(outcome.ending is Ending.REFUSED for outcome in state.outcomes)
        after = phase.unmatched if isinstance(phase, Gathering) else before + refused
        counted += max(0, after - before)
        now += FRAME_SECONDS
        if isinstance(phase, LockedOut | Refused):
            now = max(now, phase.until)
        elif isinstance(phase, Idle) and state.pausing is not None and state.pausing.until > now:
            ahead = next(script)
            if isinstance(ahead, Judged) and ahead.track == state.pausing.track:
                now = state.pausing.until
    return counted, state, now


@pytest.mark.slow
def test_no_way_of_leaving_gains_a_fifth_more_frames_than_staying() -> None:
    """Over four hours, for every number of frames before leaving and every time away that could matter."""
    honest, _, _ = frames_judged(stays(), FOUR_HOURS)
    assert 700 < honest < 1300
    gained = {
        (frames, away): frames_judged(comes_and_goes(frames, away), FOUR_HOURS)[0] / honest
        for frames in (1, 2, 3, 5, 7, 8, 12)
        for away in (0.2, 2.1, 10.0, 30.2, 61.0)
    }
    assert max(gained.values()) <= 1.2, gained


@pytest.mark.parametrize("waits", [30.0, 120.0, 300.0])
def test_a_stranger_who_waits_at_the_door_does_not_make_the_owner_wait(waits: float) -> None:
    """The pause is the stranger's own; the owner, who is somebody else to the line, is granted by the first frames."""
    _, state, now = frames_judged(stays(), waits)
    owner = judged(track=2, person=Person(1, "ada"))
    for number in range(40):
        state = session.advance(state, owner, now + number * FRAME_SECONDS, SETTINGS)
        if state.granted is not None:
            break
    assert state.granted is not None
    assert number * FRAME_SECONDS <= SETTINGS.retry_seconds + 3 * FRAME_SECONDS


def test_passers_by_shut_nobody_out_and_an_attacker_does() -> None:
    """One stranger a minute who looks into the camera: no lock-out in an hour. One every ten seconds: a lock-out."""
    _, calm, _ = frames_judged(comes_and_goes(4, 60.0), 3600.0)
    assert calm.bucket.shut_until is None
    state, now, shut = Session(), 0.0, False
    script = comes_and_goes(8, 10.0)
    while now < 300.0:
        state = session.advance(state, next(script), now, SETTINGS)
        shut |= isinstance(state.phase, LockedOut)
        now += FRAME_SECONDS
    assert shut
