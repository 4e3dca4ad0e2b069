"""Until when the camera's picture may be seen, and what a door that shows it does otherwise: the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_controller import ADA, STRANGER, Door, match, new_face, settings

from facelatch.audit.events import EventKind
from facelatch.machines import aiming
from facelatch.machines.aiming import AIM_SECONDS, Aim, Aiming, advance
from facelatch.machines.enrolment_states import AbortEnrolment, StartEnrolment
from facelatch.machines.indicator import Pattern
from facelatch.site.mode import Mode, SetMode
from facelatch.values.observations import NoFace
from facelatch.values.wires import LockLevel, Signal, Wire

OFF = Aiming()
ARMED = Aiming(until=400.0, since=100.0, origin="button")

ROWS: dict[tuple[str, str], list[tuple[Aiming, dict[str, Any], Aiming]]] = {
    ("off", "two taps of the button, or asked for by root"): [
        (OFF, {"taps": 1}, ARMED),
        (OFF, {"wishes": [Aim(True)]}, Aiming(until=400.0, since=100.0, origin="command")),
    ],
    ("off", "the same while something bars it"): [
        (OFF, {"taps": 1, "barred": "alarm"}, Aiming(ended="alarm", barred="alarm")),
        (OFF, {"wishes": [Aim(True)], "barred": "lockdown"}, Aiming(ended="lockdown", barred="lockdown")),
    ],
    ("armed", "asked for by root"): [
        (ARMED, {"wishes": [Aim(True)], "now": 399.0}, Aiming(until=699.0, since=399.0, origin="command")),
    ],
    ("armed", "two taps, or somebody asks for its end"): [
        (ARMED, {"taps": 1}, Aiming(ended="button")),
        (ARMED, {"wishes": [Aim(False)]}, Aiming(ended="asked")),
    ],
    ("armed", "something bars it"): [(ARMED, {"barred": "enrolment"}, Aiming(ended="enrolment", barred="enrolment"))],
    ("armed", "the time is over"): [
        (ARMED, {"now": 399.9}, ARMED),
        (ARMED, {"now": 400.0}, Aiming(ended="expired")),
    ],
}


def test_the_table_in_the_docstring_is_the_one_tested() -> None:
    lines = [line for line in (aiming.__doc__ or "").splitlines() if line.startswith("|")][2:]
    assert [tuple(cell.strip() for cell in line.split("|")[1:3]) for line in lines] == list(ROWS)


@pytest.mark.parametrize("cases", ROWS.values(), ids=map(" + ".join, ROWS))
def test_row(cases: list[tuple[Aiming, dict[str, Any], Aiming]]) -> None:
    """Each row of the table holds."""
    for before, given_, after in cases:
        asked = {"wishes": (), "taps": 0, "now": 100.0, "barred": "", **given_}
        assert advance(before, **asked) == after


def tap_twice(door: Door, pause: float = 1.0) -> None:
    """Two short presses, and the pause after them."""
    for _ in range(2):
        door.press()
        door.wait(0.1)
        door.release()
    door.wait(pause)


def test_two_short_presses_show_the_picture_for_five_minutes_and_say_so() -> None:
    door = Door()
    tap_twice(door)
    assert door.outputs is not None
    assert door.outputs.pattern is Pattern.AIMING
    assert door.told() == ["preview.started"]
    door.wait(AIM_SECONDS - 2)
    assert door.state.aiming.until is not None
    door.wait(3)
    assert door.state.aiming.until is None
    assert [(event.kind, event.fields["REASON"]) for event in door.events] == [(EventKind.PREVIEW_ENDED, "expired")]


@pytest.mark.parametrize("mode", [Mode.FREE, Mode.LOCKED])
def test_whoever_is_seen_can_see_it_in_every_mode_but_while_told_something_else(mode: Mode) -> None:
    door = Door()
    door.turn(NoFace(), commands=(Aim(True),))
    door.see(*[match(ADA)] * 3)
    assert door.outputs is not None
    assert door.outputs.pattern is Pattern.UNLOCKED
    door.wait(10)
    assert door.turn(NoFace(), commands=(SetMode(mode),)).pattern is Pattern.AIMING


def test_two_more_end_it() -> None:
    door = Door()
    tap_twice(door)
    tap_twice(door)
    assert door.state.aiming.until is None
    assert door.told() == ["preview.started", "preview.ended"]


def test_a_long_press_still_begins_an_enrolment_and_ends_the_showing() -> None:
    door = Door()
    door.turn(NoFace(), commands=(Aim(True),))
    door.hold()
    assert door.told() == ["preview.started", "enrolment.armed", "preview.ended"]
    tap_twice(door)
    assert door.state.aiming.until is None, "the presses that end an enrolment mean nothing else"


def test_presses_during_an_enrolment_go_to_the_enrolment_alone() -> None:
    door = Door(people=0)
    door.hold()
    for number in range(20):
        if door.state.enrolment.__class__.__name__ == "Confirming":
            break
        door.see(*new_face(number))
    tap_twice(door)
    assert "preview.started" not in door.told()


@pytest.mark.parametrize(
    ("command", "reason"),
    [(SetMode(Mode.LOCKDOWN), "lockdown"), (StartEnrolment(name="x", lease="a"), "enrolment")],
)
def test_what_bars_it_ends_it_and_keeps_it_off(command: Any, reason: str) -> None:
    door = Door()
    door.turn(NoFace(), commands=(Aim(True),))
    door.turn(NoFace(), commands=(command,))
    assert (door.state.aiming.until, door.state.aiming.ended) == (None, reason)
    door.turn(NoFace(), commands=(Aim(True),))
    assert door.state.aiming.until is None


def test_what_became_of_an_enrolment_bars_nothing() -> None:
    """It is only shown for a while; the next press of the button ends that, and means nothing else."""
    door = Door()
    door.turn(NoFace(), commands=(StartEnrolment(name="x", lease="a"),))
    door.turn(NoFace(), commands=(AbortEnrolment(lease=None), Aim(True)))
    assert door.state.aiming.until is not None


def test_an_alarm_ends_it() -> None:
    door = Door(settings(inputs={"tamper_pin": 5}))
    door.turn(NoFace(), commands=(Aim(True),), signals=(Signal(Wire.TAMPER, False, door.now),))
    door.turn(NoFace(), signals=(Signal(Wire.TAMPER, True, door.now),))
    door.wait(1)
    assert door.state.site.alarm.sounding
    assert door.state.aiming.until is None
    tap_twice(door)
    assert door.state.aiming.until is None


def test_it_is_off_after_a_stop_and_off_at_every_start() -> None:
    door = Door()
    door.turn(NoFace(), commands=(Aim(True),))
    door.turn(None, stopping=True)
    assert (door.state.aiming.until, door.state.aiming.ended) == (None, "stopping")
    assert Door().state.aiming == Aiming()


def test_a_visitor_is_let_in_while_it_shows() -> None:
    door = Door()
    door.turn(NoFace(), commands=(Aim(True),))
    assert door.see(match(ADA), match(ADA), match(ADA)).lock is LockLevel.UNLOCKED
    assert door.state.aiming.until is not None


FRAMES = st.lists(st.sampled_from([NoFace(), match(ADA), STRANGER]), max_size=40)


@given(FRAMES, st.integers(0, 40))
def test_the_door_never_depends_on_it(frames: list[Any], at: int) -> None:
    """Turn by turn the same lock, the same events but for its own, whether or not the picture is shown."""
    plain, shown = Door(), Door()
    for number, frame in enumerate(frames):
        aim = {"commands": (Aim(True),)} if number == at else {}
        one, other = plain.turn(frame), shown.turn(frame, **aim)
        assert one.lock is other.lock
        assert [event for event in other.events if not event.kind.startswith("preview.")] == list(one.events)
        assert (one.save, one.throttle, one.ended_tracks, one.fault) == (
            other.save,
            other.throttle,
            other.ended_tracks,
            other.fault,
        )
