"""Exit button, alarm, mode, chattering inputs, and the camera that is opened again: row by row, then at random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from site_tables import documented

from facelatch.config.line import CameraConfig
from facelatch.config.site import ExitConfig
from facelatch.machines import camera_watch
from facelatch.machines.camera_watch import CameraWatch, Sight
from facelatch.site import alarm, chatter, exit_button, mode
from facelatch.site.alarm import Alarm, Cause
from facelatch.site.chatter import Line
from facelatch.site.exit_button import ExitButton, Leaving
from facelatch.site.mode import Mode, SetMode, State, Window
from facelatch.values.wires import Signal, Wire

NOW = 1000.0
CAMERA = CameraConfig(reopen_attempts=3, reopen_pause_seconds=2.0, stale_after_seconds=2.0)


def on_exit(to: bool, now: float = NOW) -> Signal:
    return Signal(Wire.EXIT, to, now)


def pressed(action: str = "shunt", *, lockdown: bool = False, in_lockdown: str = "shunt") -> ExitButton:
    settings = ExitConfig(action=action, in_lockdown=in_lockdown)
    return exit_button.advance(ExitButton(), True, [on_exit(True)], lockdown, settings)


def sounded(state: Alarm, *causes: Cause, now: float = NOW, ack: bool = False, fire: bool = False) -> Alarm:
    return alarm.advance(state, causes, now, acknowledged=ack, fire=fire, siren_seconds=180.0)


SOUNDING = Alarm(until=NOW + 180)
WINDOW, LATE = Window(NOW + 3600), Window(NOW + 3600, after_first=True)
FREE = State(mode=Mode.FREE, until=NOW + 3600, reason="schedule", done=NOW + 3600)
ARMED = replace(FREE, mode=Mode.ARMED)
LOCKDOWN = State(mode=Mode.LOCKDOWN, reason="command")


def moded(
    state: State, asked: SetMode | None = None, window: Window | None = None, now: float = NOW, **others: object
) -> State:
    return mode.advance(state, asked, window, now, **({"granted": False, "ended_by": ""} | others))


def heard(line: Line, *levels: bool, every: float = 0.03, at: float = NOW) -> Line:
    signals = [Signal(Wire.CONTACT, level, at + number * every) for number, level in enumerate(levels)]
    return chatter.advance(line, signals, at + len(levels) * every)


SHUT = heard(Line(wire=Wire.CONTACT), False)
CHATTERING = heard(SHUT, *[True, False] * 15)


def watched(
    state: CameraWatch, fault: str | None = None, *, now: float = NOW, new: bool = False, reopenable: bool = True
) -> CameraWatch:
    return camera_watch.advance(state, fault, new, now, CAMERA, reopenable=reopenable)


WAITING = watched(CameraWatch(), "camera_failed")
OPENING = watched(WAITING, now=NOW + 2)

TABLES: dict[ModuleType, dict[tuple[str, str], Callable[[], object]]] = {
    exit_button: {
        ("up", "found pressed as its line was claimed"): lambda: (
            exit_button.advance(ExitButton(), True, [], False, ExitConfig()) == ExitButton(True)
        ),
        ("up", 'pressed, `action` = "shunt"'): lambda: pressed().asked == (Leaving.SHUNT,),
        ("up", 'pressed, `action` = "unlock"'): lambda: pressed("unlock").asked == (Leaving.UNLOCK,),
        ("up", "pressed, in lockdown"): lambda: (
            pressed("unlock", lockdown=True).asked == (Leaving.SHUNT,)
            and pressed("shunt", lockdown=True, in_lockdown="unlock").asked == (Leaving.UNLOCK,)
        ),
        ("down", "released"): lambda: (
            exit_button.advance(ExitButton(True), False, [on_exit(False)], False, ExitConfig()) == ExitButton()
        ),
    },
    alarm: {
        ("quiet", "a cause (forced, held, tamper)"): lambda: (
            sounded(Alarm(), Cause.FORCED) == Alarm(until=NOW + 180, begun=(Cause.FORCED,))
        ),
        ("sounding", "another cause"): lambda: sounded(SOUNDING, Cause.HELD, now=NOW + 60).until == NOW + 240,
        ("sounding", "its time is over"): lambda: (
            sounded(SOUNDING, now=NOW + 180) == Alarm(ended="time") and sounded(SOUNDING, now=NOW + 179).sounding
        ),
        ("sounding", "acknowledged"): lambda: sounded(SOUNDING, ack=True) == Alarm(ended="acknowledged"),
        ("sounding", "the fire panel releases the doors"): lambda: sounded(SOUNDING, fire=True) == Alarm(ended="fire"),
        ("quiet", "a cause while the fire panel does so"): lambda: sounded(Alarm(), Cause.FORCED, fire=True) == Alarm(),
    },
    mode: {
        ("normal", "a window of free passage begins"): lambda: moded(State(), window=WINDOW) == FREE,
        ("normal", "one begins that waits for the first person"): lambda: moded(State(), window=LATE) == ARMED,
        ("armed", "somebody is granted"): lambda: (
            moded(ARMED, window=LATE, granted=True) == replace(FREE, reason="first_person")
        ),
        ("free, armed", "its end, a fault, an alarm, a start of the daemon"): lambda: (
            all(
                moded(state, window=WINDOW, ended_by=why).mode is Mode.NORMAL
                for state in (FREE, ARMED)
                for why in ("fault", "alarm")
            )
            and moded(FREE, now=NOW + 3600).mode is Mode.NORMAL
            and mode.at_start(False).mode is Mode.NORMAL
            and moded(moded(FREE, window=WINDOW, ended_by="fault"), window=WINDOW).mode is Mode.NORMAL
        ),
        ("any but lockdown", "`free` by request"): lambda: (
            moded(State(), SetMode(Mode.FREE, 60.0)) == State(mode=Mode.FREE, until=NOW + 60, reason="command")
            and moded(LOCKDOWN, SetMode(Mode.FREE, 60.0)) == LOCKDOWN
        ),
        ("any but lockdown", "`locked` by request"): lambda: (
            moded(FREE, SetMode(Mode.LOCKED), window=WINDOW).mode is Mode.LOCKED
            and moded(LOCKDOWN, SetMode(Mode.LOCKED)) == LOCKDOWN
        ),
        ("locked", "its end"): lambda: moded(State(mode=Mode.LOCKED, until=NOW + 5), now=NOW + 5).mode is Mode.NORMAL,
        ("any", "`lockdown` by request"): lambda: (
            moded(FREE, SetMode(Mode.LOCKDOWN)).mode is Mode.LOCKDOWN
            and mode.at_start(True).mode is Mode.LOCKDOWN
            and moded(LOCKDOWN, window=WINDOW, granted=True, now=NOW + 1e6) == LOCKDOWN
        ),
        ("any", "`normal` by request"): lambda: moded(LOCKDOWN, SetMode(Mode.NORMAL)).mode is Mode.NORMAL,
    },
    chatter: {
        ("unknown", "the level found as the line was claimed"): lambda: (SHUT.active, SHUT.changes) == (False, ()),
        ("steady", "the same level again"): lambda: heard(SHUT, False).changes == (),
        ("steady", "the other level"): lambda: heard(SHUT, True).changes == (Signal(Wire.CONTACT, True, NOW),),
        ("steady", "more than MOST_EDGES edges in WINDOW_SECONDS"): lambda: (
            (CHATTERING.unstable, CHATTERING.active) == (True, False) and not heard(SHUT, *[True, False] * 10).unstable
        ),
        ("unstable", "another edge"): lambda: chatter.advance(
            heard(CHATTERING, True, at=NOW + 4), [], NOW + 8
        ).unstable,
        ("unstable", "QUIET_SECONDS without an edge"): lambda: (
            chatter.advance(heard(CHATTERING, True, at=NOW + 4), [], NOW + 9.1).changes
            == (Signal(Wire.CONTACT, True, NOW + 9.1),)
        ),
    },
    camera_watch: {
        ("seeing", "a fault"): lambda: (
            (WAITING.sight, WAITING.tries, WAITING.code) == (Sight.WAITING, 1, "camera_failed")
        ),
        ("seeing", "a fault, where nothing can be opened again"): lambda: (
            watched(CameraWatch(), "camera_stale", reopenable=False).sight is Sight.GIVEN_UP
        ),
        ("seeing", "STEADY_SECONDS without one"): lambda: (
            watched(CameraWatch(since=NOW - 60, tries=2)).tries == 0
            and watched(CameraWatch(since=NOW - 59, tries=2)).tries == 2
        ),
        ("waiting", "its time is over"): lambda: (
            OPENING.sight is Sight.OPENING and watched(WAITING, "camera_stale", now=NOW + 1).sight is Sight.WAITING
        ),
        ("opening", "NEW_PICTURES new pictures"): lambda: seen(OPENING, 3).seeing and not seen(OPENING, 2).seeing,
        ("opening", "a fault, or OPENING_SECONDS without them"): lambda: (
            (watched(OPENING, "camera_failed").sight, watched(OPENING, "camera_failed").tries) == (Sight.WAITING, 2)
            and watched(OPENING, now=NOW + 12).tries == 2
            and watched(replace(WAITING, tries=2), now=NOW + 3.9).sight is Sight.WAITING
        ),
        ("opening", "the same for the last of `reopen_attempts`"): lambda: (
            watched(replace(OPENING, tries=3), "camera_failed").sight is Sight.GIVEN_UP
        ),
        ("given up", "anything"): lambda: (
            watched(CameraWatch(sight=Sight.GIVEN_UP), new=True, now=NOW + 99).sight is Sight.GIVEN_UP
        ),
    },
}


def seen(state: CameraWatch, pictures: int) -> CameraWatch:
    for number in range(pictures):
        state = watched(state, new=True, now=NOW + 3 + number)
    return state


@pytest.mark.parametrize("module", TABLES, ids=lambda module: module.__name__.rsplit(".", 1)[-1])
def test_the_table_in_the_docstring_is_the_one_tested(module: ModuleType) -> None:
    assert documented(module) == list(TABLES[module])


@pytest.mark.parametrize(
    "holds",
    [holds for rows in TABLES.values() for holds in rows.values()],
    ids=[f"{module.__name__.rsplit('.', 1)[-1]}: {' + '.join(row)}" for module, rows in TABLES.items() for row in rows],
)
def test_row(holds: Callable[[], object]) -> None:
    assert holds()


def test_a_held_door_warns_in_tones_and_an_alarm_sounds_through() -> None:
    tones = [alarm.buzzing(Alarm(), NOW, NOW + number / 4) for number in range(8)]
    assert tones == [True, True, False, False] * 2
    assert alarm.buzzing(SOUNDING, None, NOW)
    assert not alarm.buzzing(Alarm(), None, NOW)


@given(st.lists(st.tuples(st.booleans(), st.floats(0.001, 2.0)), max_size=120))
def test_an_input_is_believed_level_by_level_and_never_more_often_than_a_hand_can_move_it(
    levels: list[tuple[bool, float]],
) -> None:
    """The believed changes alternate, and of any second no more than a burst of them is believed."""
    line, now, changes = Line(wire=Wire.CONTACT), NOW, list[Signal]()
    for level, seconds in levels:
        now += seconds
        line = chatter.advance(line, [Signal(Wire.CONTACT, level, now)], now)
        changes += line.changes
    assert all(one.active != other.active for one, other in pairwise(changes))
    for change in changes:
        assert sum(0 <= other.at - change.at < chatter.WINDOW_SECONDS for other in changes) <= chatter.MOST_EDGES + 2
    calm = chatter.advance(line, [], now + chatter.QUIET_SECONDS)
    assert calm.active == (levels[-1][0] if levels else None)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([None, SetMode(Mode.FREE, 60.0), SetMode(Mode.LOCKED, 30.0), SetMode(Mode.LOCKDOWN)]),
            st.sampled_from([None, WINDOW, LATE, Window(NOW + 40)]),
            st.floats(0.1, 100.0),
            st.booleans(),
            st.sampled_from(["", "", "", "fault", "alarm"]),
        ),
        max_size=40,
    )
)
def test_only_a_request_ends_a_lockdown_and_free_passage_always_has_an_end(
    turns: list[tuple[SetMode | None, Window | None, float, bool, str]],
) -> None:
    state, now, lockdown = State(), NOW, False
    for asked, window, seconds, granted, ended_by in turns:
        now += seconds
        state = moded(state, asked, window, now, granted=granted, ended_by=ended_by)
        lockdown |= asked is not None and asked.mode is Mode.LOCKDOWN
        assert (state.mode is Mode.LOCKDOWN) == lockdown
        if state.mode in (Mode.FREE, Mode.ARMED):
            assert state.until is not None
            assert now < state.until
