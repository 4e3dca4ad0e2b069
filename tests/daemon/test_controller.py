"""The machines joined: lists of inputs, lists of outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from sightings import FACE, judged

from facelatch.audit.events import Event
from facelatch.config.file import Config, parse
from facelatch.controller import state
from facelatch.controller.state import Inputs, Outputs, State
from facelatch.controller.step import step
from facelatch.machines.enrolment_states import (
    AbortEnrolment,
    Failure,
    RenewEnrolment,
    Saved,
    SaveFailed,
    StartEnrolment,
)
from facelatch.machines.indicator import Pattern
from facelatch.machines.session_states import ForgetRefusals
from facelatch.values.observations import Judged, NoFace, Observation, Reason, SeveralFaces, Unusable, Verdict
from facelatch.values.records import Person, Throttle
from facelatch.values.wires import Edge, EdgeKind, LockLevel

ADA, BEN = Person(1, "ada", admin=True), Person(2, "ben")
FRAME_SECONDS = 0.1


def settings(**sections: Any) -> Config:
    return parse(sections, origin="test")


def match(person: Person) -> Judged:
    return judged(Verdict(reason=Reason.MATCHED, person=person, share=0.875, detections=7, references=8))


STRANGER = judged(Verdict(reason=Reason.NOT_RECOGNISED))


class Door:
    """Drives the controller as the loop does: one frame each 0.1 s, every picture another one."""

    def __init__(
        self, config: Config | None = None, throttle: Throttle | None = None, people: int = 2
    ) -> None:
        self.config, self.people = config or settings(), people
        self.state: State = state.initial(throttle or Throttle(), model="0123456789ab")
        self.now, self.picture = 1000.0, 0
        self.events: list[Event] = []
        self.outputs: Outputs | None = None
        self.turn(NoFace())

    def turn(self, observation: Observation | None = None, **others: Any) -> Outputs:
        """One turn; a frame came unless `observation` is None."""
        self.now += FRAME_SECONDS
        self.picture += 1
        given = {
            "now": self.now,
            "observation": observation,
            "fingerprint": self.picture if observation is not None else None,
            "frame_age_seconds": 0.04,
            "people_enrolled": self.people,
            "admins": frozenset({ADA.id}) if self.people else frozenset(),
        }
        self.state, self.outputs = step(self.state, Inputs(**{**given, **others}), self.config)
        self.events += self.outputs.events
        return self.outputs

    def see(self, *observations: Observation) -> Outputs:
        """One frame after the other."""
        for observation in observations:
            self.turn(observation)
        assert self.outputs is not None
        return self.outputs

    def wait(self, seconds: float, observation: Observation | None = None) -> Outputs:
        """Many turns without a face."""
        return self.see(*[observation or NoFace()] * round(seconds / FRAME_SECONDS))

    def press(self) -> Outputs:
        return self.turn(NoFace(), edges=(Edge(EdgeKind.PRESSED, self.now + FRAME_SECONDS),))

    def release(self) -> Outputs:
        return self.turn(NoFace(), edges=(Edge(EdgeKind.RELEASED, self.now + FRAME_SECONDS),))

    def hold(self) -> Outputs:
        """A long press."""
        self.press()
        self.wait(self.config.enrolment.hold_seconds)
        return self.release()

    def told(self) -> list[str]:
        """The events since the last call."""
        told = [event.kind.value for event in self.events]
        self.events = []
        return told


def new_face(number: int) -> Sequence[Observation]:
    """Enough time, then a good crop in a new pose."""
    return [*[NoFace()] * 4, judged(Verdict(reason=Reason.NOT_RECOGNISED), yaw=0.1 * number, share=1.0)]


def test_three_matches_unlock_and_the_time_locks() -> None:
    """The main job: recognised, unlocked, and locked again by itself."""
    door = Door()
    assert door.see(match(ADA), match(ADA)).lock is LockLevel.LOCKED
    assert door.outputs is not None
    assert door.outputs.pattern is Pattern.LOOKING
    outputs = door.see(match(ADA))
    assert (outputs.lock, outputs.pattern) == (LockLevel.UNLOCKED, Pattern.UNLOCKED)
    assert outputs.status == "unlocked"
    granted, unlocked = outputs.events
    assert granted.fields == {
        "PERSON": "ada",
        "PERSON_ID": 1,
        "PURPOSE": "door",
        "SIMILARITY_SHARE": 0.875,
        "DETECTIONS": 7,
        "REFERENCES": 8,
        "COUNT": 3,
        "MODEL": "0123456789ab",
        "FRAME_AGE_MS": 40,
    }
    assert unlocked.fields == {"PERSON": "ada", "PERSON_ID": 1, "SECONDS": 5.0}
    assert door.wait(4.8).lock is LockLevel.UNLOCKED
    assert door.wait(0.3).lock is LockLevel.LOCKED
    assert door.told() == ["visit.granted", "door.unlocked", "door.locked"]


def test_a_stranger_is_refused_with_a_reason_and_then_shut_out() -> None:
    """Five refused attempts start the lock-out; it is written down and the memory handed out each time."""
    door, throttles = Door(settings(session={"retry_seconds": 0.0})), []
    for _ in range(5 * 8):
        throttles.append(door.turn(STRANGER).throttle)
    assert [t for t in throttles if t] == [*(Throttle(n, 0.0) for n in (1, 2, 3, 4)), Throttle(5, 30.0)]
    refused = next(event for event in door.events if event.kind.value == "visit.refused")
    assert refused.fields["REASON"] == "not_recognised"
    assert (
        refused.message
        == "Visitor refused (not_recognised): not enrolled, or enrolled in very different light"
    )
    assert door.told() == ["visit.refused"] * 5 + ["visit.lockout_started"]
    assert door.wait(2.0).pattern is Pattern.LOCKED_OUT
    assert door.see(*[match(ADA)] * 100).lock is LockLevel.LOCKED
    door.wait(30.0)
    assert door.told() == ["visit.turned_away", "visit.lockout_ended"]
    assert door.see(*[match(ADA)] * 3).throttle == Throttle()


def test_a_restart_serves_the_lockout_again_in_full() -> None:
    """Pulling the plug gains nothing."""
    door = Door(throttle=Throttle(6, 60.0))
    assert door.told() == ["visit.lockout_started"]
    for _ in range(590):
        assert door.turn(match(ADA)).lock is LockLevel.LOCKED
    door.wait(1.1)
    assert door.see(*[match(ADA)] * 3).lock is LockLevel.UNLOCKED


def test_a_visitor_who_leaves_has_an_outcome_too() -> None:
    """One event per visit, with the most frequent reason and its hint."""
    door = Door()
    outputs = door.see(Unusable(Reason.TOO_DARK, FACE), Unusable(Reason.TOO_DARK, FACE), SeveralFaces(2))
    assert outputs.pattern is Pattern.UNCLEAR
    door.wait(3.0)
    (left,) = door.events
    assert (left.kind.value, left.fields["REASON"]) == ("visit.abandoned", "too_dark")
    assert left.fields["HINT"] == Reason.TOO_DARK.hint


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ({"fault": "camera_failed"}, "camera_failed"),
        ({"frame_age_seconds": 2.1}, "camera_stale"),
        ({"frame_age_seconds": math.nan}, "camera_stale"),
        ({"frame_age_seconds": math.inf}, "camera_stale"),
    ],
)
def test_a_fault_locks_in_the_same_turn_and_for_good(trouble: dict[str, Any], reason: str) -> None:
    """Nothing unlocks after a fault, even if it seems to pass."""
    door = Door()
    door.see(*[match(ADA)] * 3)
    door.told()
    outputs = door.turn(match(ADA), **trouble)
    assert (outputs.lock, outputs.pattern, outputs.fault) == (LockLevel.LOCKED, Pattern.FAULT, reason)
    assert outputs.events[0].fields["REASON"] == reason
    assert door.told() == ["fault", "door.locked"]
    assert door.wait(20.0, match(ADA)).lock is LockLevel.LOCKED
    assert door.told() == []


def test_a_frozen_picture_is_no_evidence_and_then_a_fault() -> None:
    """A picture shown for ever opens nothing, whatever the line says about it."""
    door = Door()
    for _ in range(99):
        assert door.turn(match(ADA), fingerprint=42).lock is LockLevel.LOCKED
    assert door.see(match(ADA)).fault is None
    for _ in range(101):
        outputs = door.turn(match(ADA), fingerprint=42)
    assert outputs.fault == "picture_frozen"
    assert "visit.granted" not in door.told()


def test_stopping_locks_and_says_so() -> None:
    """SIGTERM while unlocked: locked, one event, no matter what is seen."""
    door = Door()
    door.see(*[match(ADA)] * 3)
    door.told()
    assert door.turn(match(ADA), stopping=True).lock is LockLevel.LOCKED
    assert door.told() == ["daemon.stopping", "door.locked"]


def enrolled_to_the_last_image(door: Door) -> list[Outputs]:
    """Eight images by button, the door locked all along; what came out on each turn."""
    door.hold()
    turns = [door.turn(observation) for number in range(8) for observation in new_face(number)]
    assert {outputs.lock for outputs in turns} == {LockLevel.LOCKED}
    assert len(turns[-1].kept) == 8
    return turns


def test_enrolment_by_button_from_hold_to_saved() -> None:
    """Hold, look, move, press; eight images later one person is to be saved, and the door was locked all along."""
    door = Door()
    assert door.press().pattern is Pattern.READY
    assert door.wait(3.0).pattern is Pattern.ARMED
    door.see(STRANGER)  # still holding the button: not looked at
    assert state.kept_frames(door.state) == ()
    door.release()
    door.turn(NoFace(), commands=(AbortEnrolment(),))
    door.wait(10.0)
    door.told()
    turns = enrolled_to_the_last_image(door)
    assert all(outputs.save is None for outputs in turns)
    assert door.told() == ["enrolment.armed"] + ["enrolment.progress"] * 8
    assert door.wait(5.0, STRANGER).pattern is Pattern.CONFIRM
    outputs = door.press()
    assert outputs.save is not None
    assert (outputs.save.name, outputs.save.admin, len(outputs.kept)) == (None, False, 8)
    assert outputs.pattern is Pattern.SAVING
    outputs = door.turn(NoFace(), saved=Saved(Person(3, "person-003"), 8))
    assert (outputs.save, outputs.pattern) == (None, Pattern.ENROLLED)
    assert outputs.events[0].fields == {
        "PERSON": "person-003",
        "PERSON_ID": 3,
        "COUNT": 8,
        "ORIGIN": "button",
        "LIVENESS": "unproven",
    }
    assert state.enrolment_view(door.state, door.config).state == "done"
    assert door.wait(3.1).pattern is Pattern.READY


def test_without_a_press_in_time_nothing_is_saved() -> None:
    """Somebody else may have stepped before the camera: who held the button knows."""
    door = Door()
    enrolled_to_the_last_image(door)
    door.told()
    outputs = door.wait(11.0)
    assert (outputs.save, outputs.kept, outputs.pattern) == (None, (), Pattern.NOT_ENROLLED)
    (event,) = door.events
    assert (event.kind.value, event.fields["REASON"], event.fields["COUNT"]) == (
        "enrolment.aborted",
        "not_confirmed",
        8,
    )


def test_without_confirmation_the_last_image_is_enough() -> None:
    """For whoever has switched it off."""
    turns = enrolled_to_the_last_image(Door(settings(enrolment={"confirm": False})))
    assert turns[-1].save is not None


def test_an_enrolment_ends_with_the_client_that_asked_for_it() -> None:
    """Killed while the door waits for a face: three seconds later the next comer is a stranger again."""
    door = Door()
    door.turn(NoFace(), commands=(StartEnrolment(name="mallory", lease="secret"),))
    for _ in range(5):
        assert door.wait(1.0).pattern is Pattern.ARMED
        door.turn(NoFace(), commands=(RenewEnrolment("secret"),))
    door.told()
    assert door.wait(2.8).pattern is Pattern.ARMED
    outputs = door.wait(0.5, STRANGER)
    assert outputs.save is None
    assert state.kept_frames(door.state) == ()
    reasons = [one.fields["REASON"] for one in door.events if one.kind.value == "enrolment.aborted"]
    assert reasons == ["client_gone"]


def test_a_turn_that_took_long_is_not_held_against_the_client() -> None:
    """Whoever asked during it is there, although the time is over when the turn comes."""
    door = Door()
    door.turn(NoFace(), commands=(StartEnrolment(name="cleo", lease="secret"),))
    door.now += 30.0
    assert door.turn(NoFace(), commands=(RenewEnrolment("secret"),)).pattern is Pattern.ARMED


def test_new_images_of_somebody_enrolled_are_told_as_such() -> None:
    """Added or replaced, and how many there are now."""
    for replaces, how in ((False, "added"), (True, "replaced")):
        door = Door(settings(enrolment={"references": 1}))
        asked = StartEnrolment(name="ben", person=BEN, replace=replaces)
        door.turn(NoFace(), commands=(asked,))
        outputs = door.see(match(BEN))
        assert outputs.save == asked
        door.told()
        door.turn(NoFace(), saved=Saved(BEN, 9))
        (event,) = door.events
        assert (event.kind.value, event.fields["REASON"], event.fields["COUNT"]) == (
            "enrolment.references_changed",
            how,
            9,
        )


def test_images_that_are_not_of_one_person_are_refused_with_that_reason() -> None:
    """The saving compares all of them with each other; the light says what a second face does."""
    door = Door(settings(enrolment={"references": 1}))
    door.turn(NoFace(), commands=(StartEnrolment(name="cleo"),))
    door.see(STRANGER)
    door.told()
    outputs = door.turn(NoFace(), saved=SaveFailed("the pictures are not of one person", Failure.ANOTHER_PERSON))
    assert outputs.pattern is Pattern.SECOND_PERSON
    assert door.told() == ["enrolment.aborted"]
    assert "not of one person" in state.enrolment_view(door.state, door.config).hint


def test_the_status_names_nobody() -> None:
    """systemd shows it to every user of the machine; neither a duplicate nor a name that is taken gets there."""
    for ending in (SaveFailed("the name 'ada' is taken"), SaveFailed("ada", Failure.DUPLICATE)):
        door = Door(settings(enrolment={"references": 1}))
        door.turn(NoFace(), commands=(StartEnrolment(name="ada"),))
        assert "ada" not in door.see(STRANGER).status
        assert "ada" not in door.turn(NoFace(), saved=ending).status
    door = Door()
    assert "ada" not in door.see(*[match(ADA)] * 4).status


def test_each_kept_image_is_confirmed_by_a_flash() -> None:
    """Progress can be seen without a screen."""
    door = Door()
    door.turn(NoFace(), commands=(StartEnrolment(name="cleo"),))
    outputs = door.see(STRANGER)
    assert (outputs.pattern, outputs.pattern_since) == (Pattern.KEPT, door.now)
    assert door.wait(0.3).pattern is Pattern.CAPTURING
    assert outputs.status.startswith("locked: enrolment capturing, 1 of 8 images kept")


def test_nobody_becomes_admin_by_being_the_first() -> None:
    """Only a request that says so makes an admin; in admin mode the first by button is allowed all the same."""
    door = Door(settings(enrolment={"references": 1, "confirm": False, "authorisation": "admin"}), people=0)
    door.hold()
    save = door.see(STRANGER).save
    assert save is not None
    assert not save.admin
    for admin in (True, False):
        door = Door(settings(enrolment={"references": 1}), people=0)
        door.turn(NoFace(), commands=(StartEnrolment(name="cleo", admin=admin),))
        save = door.see(STRANGER).save
        assert save is not None
        assert save.admin is admin


def test_with_people_but_no_admin_the_button_says_what_to_do() -> None:
    """Nobody can authorise it: the hint names the command."""
    door = Door(settings(enrolment={"authorisation": "admin"}))
    for turn in (door.press, door.release):
        turn()
    door.press()
    for _ in range(31):
        door.turn(NoFace(), admins=frozenset())
    (event,) = door.events
    assert (event.fields["REASON"], "people admin NAME" in str(event.fields["HINT"])) == ("no_admin", True)


def test_a_save_that_fails_is_said_in_every_way() -> None:
    """Event, light and status; nothing pretends that somebody was enrolled."""
    door = Door(settings(enrolment={"references": 1}))
    door.turn(NoFace(), commands=(StartEnrolment(name="cleo"),))
    door.see(STRANGER)
    door.told()
    outputs = door.turn(NoFace(), saved=SaveFailed("disk full"))
    assert outputs.pattern is Pattern.NOT_SAVED
    assert outputs.events[0].fields["REASON"] == "disk full"
    assert door.told() == ["enrolment.save_failed"]
    view = state.enrolment_view(door.state, door.config)
    assert (view.state, view.person, view.reason) == ("failed", None, "save_failed")
    assert view.hint.startswith("disk full: ")


def test_an_admin_authorises_by_face_and_the_door_stays_locked() -> None:
    """In admin mode the grant goes to the enrolment, not to the door."""
    door = Door(settings(enrolment={"authorisation": "admin"}))
    assert door.hold().pattern is Pattern.AUTHORISING
    outputs = door.see(*[match(ADA)] * 3)
    assert (outputs.lock, outputs.pattern) == (LockLevel.LOCKED, Pattern.ARMED)
    granted = next(event for event in door.events if event.kind.value == "visit.granted")
    assert granted.fields["PURPOSE"] == "enrolment"
    assert door.told() == [
        "enrolment.authorising",
        "visit.granted",
        "enrolment.authorised",
        "enrolment.armed",
    ]
    door.see(*[match(ADA)] * 20, *[STRANGER] * 3)
    assert door.told() == ["enrolment.progress"]


def test_an_enrolled_person_without_the_right_cannot_authorise() -> None:
    """Recognised is not enough."""
    door = Door(settings(enrolment={"authorisation": "admin"}))
    door.hold()
    outputs = door.see(*[match(BEN)] * 3)
    assert (outputs.lock, outputs.pattern) == (LockLevel.LOCKED, Pattern.NOT_AUTHORISED)
    assert door.told()[-1] == "enrolment.aborted"


def test_refusals_while_authorising_count_towards_the_lockout() -> None:
    """The button is no way around the throttle."""
    door = Door(settings(enrolment={"authorisation": "admin"}, session={"retry_seconds": 0.0}))
    door.hold()
    door.see(*[STRANGER] * 40)
    assert "visit.lockout_started" in door.told()


def test_starting_to_enrol_locks_the_door_and_ends_the_visit() -> None:
    """Somebody at the door loses the attempt; an unlocked door locks at once."""
    door = Door()
    door.see(*[match(ADA)] * 3)
    door.told()
    outputs = door.turn(NoFace(), commands=(StartEnrolment(),))
    assert outputs.lock is LockLevel.LOCKED
    assert [event.fields.get("REASON") for event in outputs.events] == ["command", "enrolment"]
    door = Door()
    door.see(match(ADA), match(ADA))
    outputs = door.turn(match(ADA), commands=(StartEnrolment(),))
    assert door.told() == ["visit.abandoned", "enrolment.armed"]


def test_a_press_or_a_command_aborts_and_the_draft_is_gone() -> None:
    """Nothing is saved; the next enrolment starts from nothing."""
    for abort in ("press", "command"):
        door = Door()
        door.turn(NoFace(), commands=(StartEnrolment(),))
        door.see(*new_face(0), *new_face(1))
        assert len(state.kept_frames(door.state)) == 2
        outputs = door.press() if abort == "press" else door.turn(NoFace(), commands=(AbortEnrolment(),))
        assert outputs.events[0].fields["REASON"] == "aborted"
        assert outputs.events[0].fields["COUNT"] == 2
        assert (outputs.save, outputs.kept) == (None, ())


def test_a_look_alike_is_warned_of_once() -> None:
    """The event names whom the new face is alike to; enrolment goes on."""
    alike = judged(
        Verdict(reason=Reason.TOO_FEW_DETECTIONS, person=BEN, share=0.5, detections=4, references=8)
    )
    door = Door()
    door.turn(NoFace(), commands=(StartEnrolment(),))
    door.see(alike, *[NoFace()] * 4, judged(alike.verdict, yaw=0.5, share=1.0))
    warnings = [event for event in door.events if event.kind.value == "enrolment.lookalike_warning"]
    assert [event.fields["NEAREST"] for event in warnings] == ["ben"]


def test_a_stuck_button_enrols_nobody() -> None:
    """It arms after three seconds, but nobody is looked at while it is down, and then it is reported."""
    door = Door()
    door.press()
    door.wait(3.0)
    outputs = door.wait(17.5, STRANGER)
    assert door.told() == ["enrolment.armed", "button.stuck", "enrolment.aborted"]
    assert outputs.save is None
    door.wait(10.0)
    assert door.turn(NoFace()).pattern is Pattern.BUTTON_STUCK
    door.release()
    assert door.turn(NoFace()).pattern is Pattern.READY


def test_one_person_after_the_other_keeps_the_door_unlocked_up_to_the_ceiling() -> None:
    """With no cool-down the door still locks for a turn at its ceiling, and no grant is lost on that turn."""
    door = Door(settings(session={"cooldown_seconds": 0.0, "required_matches": 1}))
    queue = [replace(match(Person(number, f"person-{number}")), track=number) for number in range(1, 401)]
    locked_at = [door.now for somebody in queue if door.see(somebody).lock is LockLevel.LOCKED]
    assert len(locked_at) >= 3
    assert all(later - earlier < 10.25 for earlier, later in pairwise(locked_at))
    told = door.told()
    assert told.count("door.locked") == len(locked_at)


def test_without_people_the_light_asks_for_the_first() -> None:
    """A new device says what it waits for."""
    assert Door(people=0).turn(NoFace()).pattern is Pattern.NOBODY_ENROLLED


def test_status_says_what_the_door_is_doing() -> None:
    """One line for systemctl status in every state of the house."""
    door = Door()
    assert door.turn(NoFace()).status == "locked: 2 people enrolled"
    assert door.see(Unusable(Reason.TOO_SMALL, FACE)).status == "locked: looking at somebody: come closer"
    assert Door(throttle=Throttle(5, 30.0)).turn(None).status.startswith("locked: no attempts for 30 s")
    assert door.turn(None, fault="internal").status == "locked: fault internal"
    assert Door().turn(None, stopping=True).status == "locked: stopping"


def test_a_command_that_changes_nothing_keeps_nobody_out() -> None:
    """`abort` sent on every turn, with no enrolment to abort."""
    door = Door()
    for _ in range(3):
        outputs = door.turn(match(ADA), commands=(AbortEnrolment(),))
    assert outputs.lock is LockLevel.UNLOCKED


def test_a_trembling_button_keeps_nobody_out() -> None:
    """Six edges a second, each a press that means nothing."""
    door = Door()
    for number in range(3):
        edges = tuple(Edge(kind, door.now + 0.01) for kind in (EdgeKind.PRESSED, EdgeKind.RELEASED))
        outputs = door.turn(match(ADA), edges=edges if number % 2 == 0 else ())
    assert outputs.lock is LockLevel.UNLOCKED


def test_a_frame_that_was_withheld_ends_the_count() -> None:
    """On the turn of a command nobody is looked at; what comes after does not follow what came before."""
    door = Door()
    door.see(match(ADA), match(ADA))
    door.turn(match(ADA), commands=(StartEnrolment(name="cleo"),))
    door.turn(NoFace(), commands=(AbortEnrolment(),))
    door.wait(9.0)  # how long the aborted enrolment is shown
    assert door.see(match(ADA), match(ADA)).lock is LockLevel.LOCKED
    assert door.see(match(ADA)).lock is LockLevel.UNLOCKED


def test_a_lock_out_is_ended_by_request_and_told() -> None:
    """By somebody with the right to do so, which the machines take for granted."""
    door = Door(throttle=Throttle(6, 60.0))
    door.turn(NoFace(), commands=(ForgetRefusals(),))
    assert "visit.lockout_cleared" in door.told()
    assert door.see(*[match(ADA)] * 3).lock is LockLevel.UNLOCKED


def test_the_led_says_how_long_a_lock_out_lasts() -> None:
    """Up to a minute, up to five, longer."""
    patterns = [Door(throttle=Throttle(9, seconds)).turn(None).pattern for seconds in (30.0, 240.0, 900.0)]
    assert patterns == [Pattern.LOCKED_OUT, Pattern.LOCKED_OUT_LONG, Pattern.LOCKED_OUT_LONGER]
