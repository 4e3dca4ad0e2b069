"""The enrolment button on a real line: a new person, a bouncing contact, a stuck one."""

from __future__ import annotations

import pytest
from door import BUTTON, Door

pytestmark = pytest.mark.system

DOWN, UP = f"echo pull-down >{BUTTON}", f"echo pull-up >{BUTTON}"
BOUNCES = f"for i in 1 2 3 4 5 6 7 8; do {DOWN}; {UP}; done"


def test_a_bouncing_press_is_one_press(door: Door):
    """It bounces as it goes down and up: enrolment begins once; a second, short one ends it."""
    with door.expecting("enrolment.armed", 20):
        door.sh(f"{BOUNCES}; {DOWN}; sleep 5; {BOUNCES}; {UP}")
    armed = len(door.events("enrolment.armed"))
    with door.expecting("enrolment.aborted", 20):
        door.sh(f"{BOUNCES}; {DOWN}; sleep 1; {BOUNCES}; {UP}")
    assert len(door.events("enrolment.armed")) == armed


def test_holding_the_button_enrols_a_new_person_who_is_then_let_in(door: Door):
    """Held until the LED says so, then, once all images are kept, pressed once more."""

    def complete() -> int:
        return sum(event["COUNT"] == event["REFERENCES"] for event in door.events("enrolment.progress"))

    before, completed = len(door.edges()), complete()
    door.show("newcomer")
    door.sh(f"{DOWN}; sleep 5; {UP}")
    door.until(lambda: complete() > completed, 60, "all images kept")
    with door.expecting("enrolment.saved", 20):
        door.sh(f"{DOWN}; sleep 1; {UP}")
    saved = door.events("enrolment.saved")[-1]["PERSON"]
    assert len(door.edges()) == before
    door.let_in("newcomer")
    assert door.events("visit.granted")[-1]["PERSON"] == saved


def test_a_stuck_button_is_reported_and_the_door_serves_on(door: Door):
    with door.expecting("button.stuck", 40):
        door.press(down=True)
    door.let_in()
    door.press(down=False)
