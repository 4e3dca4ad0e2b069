"""The site joined to the door: relocking, exit, camera, modes, alarms, by lists of inputs and outputs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sightings import judged

from facelatch.audit.events import Event
from facelatch.config.file import Config, parse
from facelatch.controller import state
from facelatch.controller.site import view
from facelatch.controller.state import Inputs, Outputs
from facelatch.controller.step import step
from facelatch.machines.enrolment_states import StartEnrolment
from facelatch.machines.indicator import Pattern
from facelatch.site.alarm import Acknowledge
from facelatch.site.mode import Mode, SetMode, Window
from facelatch.site.passage import Prop
from facelatch.values.observations import Judged, NoFace, Observation, Reason, Verdict
from facelatch.values.records import Person, Throttle
from facelatch.values.wires import LockLevel, Signal, Wire

ADA, BEN = Person(1, "ada", admin=True), Person(2, "ben")
FREE, LOCKED, UNLOCKED = LockLevel.FREE, LockLevel.LOCKED, LockLevel.UNLOCKED
ALL_INPUTS = {"contact_pin": 5, "exit_pin": 6, "tamper_pin": 12, "fire_pin": 13}
TURN = 0.1


def match(person: Person) -> Judged:
    return judged(Verdict(reason=Reason.MATCHED, person=person, share=1.0, detections=8, references=8))


def settings(**sections: Any) -> Config:
    return parse({"inputs": ALL_INPUTS} | sections, origin="test")


class Shop:
    """A door with everything on it, driven as the loop does: one frame each 0.1 s, every picture another one."""

    def __init__(self, config: Config | None = None, *, lockdown: bool = False, found_open: bool = False) -> None:
        self.config = config or settings()
        self.state = state.initial(Throttle(), lockdown=lockdown)
        self.now, self.picture, self.camera = 1000.0, 0, True
        self.window: Window | None = None
        self.events: list[Event] = []
        self.outputs: Outputs
        found = {Wire.CONTACT: found_open, Wire.EXIT: False, Wire.TAMPER: False, Wire.FIRE: False}
        signals = (Signal(wire, level, self.now) for wire, level in found.items())
        self.turn(signals=tuple(signals) if self.config.inputs.used else ())

    def turn(self, observation: Observation | None = None, **others: Any) -> Outputs:
        self.now += TURN
        self.picture += 1
        given = {
            "now": self.now,
            "observation": (observation or NoFace()) if self.camera else None,
            "fingerprint": self.picture if self.camera else None,
            "frame_age_seconds": 0.04,
            "people_enrolled": 2,
            "admins": frozenset({ADA.id}),
            "reopenable": True,
            "window": self.window if self.window is not None and self.now < self.window.until else None,
        }
        self.state, self.outputs = step(self.state, Inputs(**{**given, **others}), self.config)
        self.events += self.outputs.events
        return self.outputs

    def wait(self, seconds: float) -> Outputs:
        for _ in range(round(seconds / TURN)):
            self.turn()
        return self.outputs

    def comes(self, person: Person) -> Outputs:
        """Somebody enrolled looks into the camera until the door says yes, or would have."""
        for _ in range(self.config.session.required_matches):
            self.turn(match(person))
        return self.outputs

    def put(self, wire: Wire, active: bool) -> Outputs:
        return self.turn(signals=(Signal(wire, active, self.now + TURN),))

    def ask(self, *commands: object) -> Outputs:
        return self.turn(commands=commands)

    def told(self) -> list[str]:
        """The events since the last call, but for those of the visits themselves."""
        told = [event.kind.value for event in self.events]
        self.events = []
        return [kind for kind in told if not kind.startswith("visit.")]


def test_a_door_without_a_contact_is_never_told_of_and_locks_by_time() -> None:
    shop = Shop(parse({}, origin="test"))
    assert shop.comes(ADA).lock is UNLOCKED
    assert shop.wait(5.1).lock is LOCKED
    assert shop.told() == ["door.unlocked", "door.locked"]


def test_a_bolt_waits_for_the_door_and_locks_on_the_turn_on_which_it_shuts() -> None:
    shop = Shop(settings(door={"relock": "closed"}))
    shop.comes(BEN)
    shop.put(Wire.CONTACT, True)
    assert shop.wait(7.0).lock is UNLOCKED
    assert shop.put(Wire.CONTACT, False).lock is LOCKED
    assert shop.told() == ["door.unlocked", "door.opened", "door.closed", "door.locked"]


def test_a_bolt_meets_an_open_door_at_the_ceiling_all_the_same() -> None:
    shop = Shop(settings(door={"relock": "closed"}))
    shop.comes(BEN)
    shop.put(Wire.CONTACT, True)
    assert shop.wait(10.2).lock is LOCKED
    assert [event.fields["REASON"] for event in shop.events if event.kind.value == "door.locked"] == ["ceiling"]


def test_a_strike_locks_as_soon_as_the_door_opens_and_the_opening_is_not_forced() -> None:
    shop = Shop(settings(door={"relock": "opened"}))
    shop.comes(BEN)
    assert shop.put(Wire.CONTACT, True).lock is LOCKED
    assert shop.told() == ["door.unlocked", "door.opened", "door.locked"]


@pytest.mark.parametrize("state", ["idle", "locked out", "enrolling", "no camera", "lockdown", "locked"])
def test_the_exit_button_raises_no_forced_alarm_in_any_state(state: str) -> None:
    """shunt: the lock stays as it is, the door may be opened."""
    shop = brought_to(state, Shop())
    shop.told()
    assert shop.put(Wire.EXIT, True).lock is LOCKED
    shop.put(Wire.EXIT, False)
    assert not shop.put(Wire.CONTACT, True).siren
    assert shop.told() == ["exit.requested", "door.opened"]


@pytest.mark.parametrize("state", ["idle", "locked out", "enrolling", "no camera", "locked"])
def test_an_exit_button_that_unlocks_does_so_in_every_state_but_a_lockdown(state: str) -> None:
    shop = brought_to(state, Shop(settings(exit={"action": "unlock"})))
    assert shop.put(Wire.EXIT, True).lock is UNLOCKED
    assert shop.wait(4.5).lock is UNLOCKED
    assert shop.wait(1.0).lock is LOCKED
    assert shop.wait(60.0).lock is LOCKED, "a button that is stuck holds nothing unlocked"
    in_lockdown = brought_to("lockdown", Shop(settings(exit={"action": "unlock"})))
    assert in_lockdown.put(Wire.EXIT, True).lock is LOCKED


def brought_to(state: str, shop: Shop) -> Shop:
    if state == "locked out":
        shop.state = state_after(shop, refusals=9)
    elif state == "enrolling":
        shop.ask(StartEnrolment(name="dora"))
    elif state == "no camera":
        shop.camera = False
        shop.turn(fault="camera_failed")
    elif state in ("lockdown", "locked"):
        shop.ask(SetMode(Mode(state)))
    return shop


def state_after(shop: Shop, refusals: int) -> state.State:
    fresh = state.initial(Throttle(refusals, 900.0))
    return replace(shop.state, session=fresh.session)


def test_a_camera_that_fails_lets_nobody_in_until_it_delivers_again_and_ends_nothing() -> None:
    shop = Shop()
    shop.comes(BEN)
    shop.camera = False
    lost = shop.turn(fault="camera_failed")
    assert (lost.lock, lost.pattern, lost.fault, lost.blind) == (LOCKED, Pattern.CAMERA_LOST, None, True)
    assert shop.told() == ["door.unlocked", "fault", "door.locked"]
    assert [shop.turn().reopen for _ in range(12)].count(True) == 1
    shop.camera = True
    assert shop.comes(ADA).lock is LOCKED, "the first pictures only show that it works"
    assert shop.told() == ["camera.recovered"]
    shop.wait(6.0)  # session.cooldown_seconds
    assert shop.comes(ADA).lock is UNLOCKED


def test_after_the_last_try_the_fault_ends_the_process() -> None:
    shop = Shop(settings(camera={"reopen_attempts": 2, "reopen_pause_seconds": 0.1}))
    shop.camera = False
    faults = [shop.turn(fault="camera_failed").fault for _ in range(30)]
    assert faults[0] is None
    assert faults[-1] == "camera_failed"
    assert shop.told().count("fault") == 2


def test_a_forced_door_sounds_until_it_is_acknowledged_and_the_siren_outlasts_the_shutting() -> None:
    shop = Shop()
    assert shop.put(Wire.CONTACT, True).siren
    assert (shop.outputs.pattern, shop.outputs.buzzer) == (Pattern.ALARM, True)
    assert shop.put(Wire.CONTACT, False).siren
    assert not shop.ask(Acknowledge()).siren
    assert shop.told() == ["door.forced", "siren.on", "door.secured", "siren.off"]


def test_a_door_held_open_warns_then_alarms_and_may_be_propped() -> None:
    shop = Shop()
    shop.comes(BEN)
    shop.put(Wire.CONTACT, True)
    shop.wait(20.1)
    assert shop.outputs.pattern is Pattern.CLOSE_THE_DOOR
    shop.ask(Prop())
    assert not shop.wait(299.0).siren
    shop.wait(42.0)
    assert shop.outputs.siren
    shop.put(Wire.CONTACT, False)
    assert shop.told() == [
        "door.unlocked", "door.opened", "door.locked", "door.held_warning", "door.propped", "door.held_warning",
        "door.held_open", "siren.on", "door.secured",
    ]  # fmt: skip


def test_a_fire_silences_and_is_told_and_moves_no_lock() -> None:
    """During a lockdown as well: the release is the panel's own."""
    shop = Shop()
    shop.ask(SetMode(Mode.LOCKDOWN))
    shop.put(Wire.CONTACT, True)
    assert shop.outputs.siren
    assert not shop.put(Wire.FIRE, True).siren
    assert (shop.outputs.lock, shop.outputs.pattern) == (LOCKED, Pattern.FIRE)
    assert not shop.wait(100.0).siren
    shop.put(Wire.CONTACT, False)
    shop.put(Wire.FIRE, False)
    assert shop.told() == [
        "mode.changed", "door.forced", "siren.on", "fire.released", "siren.off", "door.closed", "fire.ended",
    ]  # fmt: skip


def test_an_opened_case_is_an_alarm() -> None:
    """And shown for as long as it is open."""
    shop = Shop()
    assert shop.put(Wire.TAMPER, True).siren
    assert view(shop.state.site, shop.now)["tamper"] is True
    shop.put(Wire.TAMPER, False)
    assert view(shop.state.site, shop.now)["tamper"] is False
    assert not shop.wait(181.0).siren
    assert shop.told() == ["tamper.opened", "siren.on", "tamper.closed", "siren.off"]


def test_a_lockdown_survives_a_restart_and_lets_admins_in_only_if_it_is_said_so() -> None:
    assert Shop(lockdown=True).comes(ADA).lock is LOCKED
    said = settings(mode={"lockdown_admins": True})
    assert Shop(said, lockdown=True).comes(BEN).lock is LOCKED
    assert Shop(said, lockdown=True).comes(ADA).lock is UNLOCKED


def test_a_lockdown_holds_for_the_face_of_the_same_turn() -> None:
    shop = Shop()
    shop.turn(match(ADA))
    shop.turn(match(ADA))
    assert shop.turn(match(ADA), commands=(SetMode(Mode.LOCKDOWN),)).lock is LOCKED


def test_free_passage_is_a_level_of_its_own_that_a_fault_and_a_stop_end() -> None:
    shop = Shop()
    assert shop.ask(SetMode(Mode.FREE, 3600.0)).lock is FREE
    assert (shop.outputs.pattern, shop.outputs.status) == (Pattern.FREE, "unlocked: free passage")
    shop.put(Wire.CONTACT, True)
    assert not shop.wait(600.0).siren
    shop.camera = False
    assert shop.turn(fault="camera_failed").lock is LOCKED
    other = Shop()
    other.ask(SetMode(Mode.FREE, 3600.0))
    assert other.turn(stopping=True).lock is LOCKED


def test_free_passage_that_ends_over_an_open_door_locks_a_bolt_when_it_is_shut() -> None:
    shop = Shop(settings(door={"relock": "closed"}))
    shop.ask(SetMode(Mode.FREE, 60.0))
    shop.put(Wire.CONTACT, True)
    assert shop.wait(60.2).lock is UNLOCKED
    assert shop.put(Wire.CONTACT, False).lock is LOCKED


@pytest.mark.slow
def test_a_day_at_a_shop() -> None:
    """From the first who opens to the last who locks: who came, what was told, and when the door was free."""
    shop = Shop(settings(door={"held_warning_seconds": 20.0, "held_seconds": 40.0}))
    shop.window = Window(shop.now + 4 * 3600, after_first=True)  # the morning, by the schedule
    assert shop.wait(60.0).lock is LOCKED, "nobody is there yet"
    shop.comes(ADA)
    assert shop.turn().lock is FREE, "with the first who comes in"
    for _ in range(3):  # customers, a delivery that takes long
        shop.put(Wire.CONTACT, True)
        shop.wait(90.0)
        shop.put(Wire.CONTACT, False)
    assert {"door.held_warning", "door.held_open", "door.forced"}.isdisjoint(told := shop.told())
    assert told.count("door.opened") == 3

    shop.now = shop.window.until  # the lunch break
    assert shop.turn().lock is LOCKED
    assert shop.comes(BEN).lock is UNLOCKED
    shop.put(Wire.CONTACT, True)
    shop.put(Wire.CONTACT, False)
    shop.wait(30.0)
    shop.put(Wire.EXIT, True)
    shop.put(Wire.EXIT, False)
    shop.put(Wire.CONTACT, True)
    assert shop.wait(21.0).buzzer is not None
    shop.put(Wire.CONTACT, False)
    assert shop.told() == [
        "mode.changed", "door.unlocked", "door.opened", "door.closed", "door.locked", "exit.requested", "door.opened",
        "door.held_warning", "door.secured",
    ]  # fmt: skip

    shop.window = Window(shop.now + 4 * 3600)  # the afternoon
    assert shop.turn().lock is FREE
    assert shop.ask(SetMode(Mode.LOCKDOWN)).lock is LOCKED, "a robbery in the street"
    assert shop.comes(BEN).lock is LOCKED
    shop.put(Wire.EXIT, True)
    shop.put(Wire.EXIT, False)
    shop.put(Wire.CONTACT, True)
    assert not shop.put(Wire.CONTACT, False).siren, "who is inside gets out"
    assert shop.ask(SetMode(Mode.NORMAL)).lock is LOCKED, "the window has had its turn"

    shop.ask(SetMode(Mode.LOCKED))  # closing
    shop.told()
    assert shop.wait(3600.0).lock is LOCKED
    assert shop.put(Wire.CONTACT, True).siren, "forced at night"
    shop.put(Wire.CONTACT, False)
    shop.wait(181.0)
    assert shop.told() == ["door.forced", "siren.on", "door.secured", "siren.off"]


TURNS = st.lists(
    st.tuples(
        st.sampled_from([None, NoFace(), match(BEN), match(ADA)]),
        st.lists(st.tuples(st.sampled_from([Wire.CONTACT, Wire.TAMPER, Wire.FIRE]), st.booleans()), max_size=8),
        st.sampled_from([(), (), (), (SetMode(Mode.LOCKED),), (SetMode(Mode.LOCKDOWN),), (SetMode(Mode.NORMAL),)]),
        st.sampled_from([None, None, None, None, "camera_failed"]),
        st.integers(1, 60),
    ),
    max_size=25,
)


@pytest.mark.slow
@pytest.mark.parametrize("relock", ["time", "opened", "closed"])
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(turns=TURNS)
def test_no_input_but_a_face_unlocks_and_no_unlocking_outlasts_the_ceiling(relock: str, turns: list[Any]) -> None:
    """Contact, tamper and fire at random: every unlocking begins with a grant, while the mode lets people in."""
    shop = Shop(settings(door={"relock": relock}))
    began: float | None = None
    for observation, moved, commands, fault, repeats in turns:
        for number in range(repeats):
            first = number == 0
            was = shop.outputs.lock
            shop.events = []
            signals = tuple(Signal(wire, active, shop.now + TURN) for wire, active in moved) if first else ()
            shop.turn(observation, signals=signals, commands=commands if first else (), fault=fault if first else None)
            kinds = [event.kind.value for event in shop.events]
            if shop.outputs.lock is UNLOCKED and was is LOCKED:
                assert "visit.granted" in kinds
                assert shop.state.site.mode.grants
                began = shop.now
            if shop.outputs.lock is UNLOCKED:
                assert began is not None
                assert shop.now - began < shop.config.door.max_unlock_seconds
            assert shop.outputs.lock is not FREE


@pytest.mark.slow
def test_all_inputs_bouncing_at_once_for_a_minute_change_nothing_but_that_it_is_told() -> None:
    shop = Shop(settings(exit={"action": "shunt"}))
    for _ in range(600):
        bounces = [
            Signal(wire, level, shop.now + TURN * (number + 1) / 10)
            for number in range(5)
            for wire in Wire
            for level in (True, False)
        ]
        assert shop.turn(signals=tuple(bounces)).lock is LOCKED
    assert shop.told().count("input.unstable") == 4
    shop.ask(Acknowledge())
    shop.wait(6.0)
    assert not shop.state.site.passage.is_open
    assert shop.comes(BEN).lock is UNLOCKED
