"""Door contact, exit button, siren and modes on real lines: what the kernel's trace and the journal say of them.

gpio-sim follows the pull-up that the daemon asks for, so that the contact reads open as its line is claimed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from door import KEEPER, UNIT, Door
from patient import PATIENCE

pytestmark = pytest.mark.system

CONTACT, EXIT, SIREN = "/run/pins/sim_gpio23", "/run/pins/sim_gpio24", "/run/pins/sim_gpio25"
OPEN, SHUT = f"echo pull-up >{CONTACT}/pull", f"echo pull-down >{CONTACT}/pull"
PRESS = f"echo pull-down >{EXIT}/pull; sleep 0.5; echo pull-up >{EXIT}/pull"
WARNING, HELD = 6.0, 9.0
DOOR = f'4.0\nrelock = "closed"\nheld_warning_seconds = {WARNING}\nheld_seconds = {HELD}'
SITE = "[inputs]\ncontact_pin = 23\nexit_pin = 24\n[outputs]\nsiren_pin = 25\nsiren_seconds = 600.0\n"
TURN_SECONDS = 0.5
"""A turn of the loop, with what an emulated processor needs for a picture and the look at the line."""


@pytest.fixture(scope="module", autouse=True)
def site(active_high: Door) -> Iterator[None]:
    """The machine with a contact, an exit button and a siren; afterwards it is as it was."""
    door = active_high
    door.machine.go_on()
    door.configure(unlock_seconds=DOOR)
    door.sh(f"printf '{SITE}' >>/etc/facelatch/facelatch.toml".replace("\n", "\\n"))
    door.run("systemctl", "restart", UNIT, seconds=60)
    door.until(door.ready, 60, "READY")
    door.machine.stop_time()
    yield
    door.machine.go_on()
    door.configure()
    door.run("systemctl", "reset-failed", UNIT, KEEPER, check=False)
    door.run("systemctl", "restart", UNIT, seconds=60)
    door.machine.stop_time()


def siren(door: Door) -> str:
    return door.run("cat", f"{SIREN}/value")


def silence(door: Door) -> None:
    door.run("facelatch", "alarm", "--acknowledge")
    door.until(lambda: siren(door) == "0", 10, "silent")


def test_open_at_the_start_then_forced_then_silenced_and_an_exit_is_not_forced(door: Door):
    assert door.events("door.found_open"), "its contact was open as its line was claimed"
    before = len(door.edges())
    with door.expecting("door.secured" if door.events("door.held_warning") else "door.closed", 20):
        door.sh(SHUT)
    silence(door)
    with door.expecting("door.forced", 20):
        door.sh(OPEN)
    door.until(lambda: siren(door) == "1", 10, "the siren sounds")
    with door.expecting("door.secured", 20):
        door.sh(SHUT)
    assert siren(door) == "1", "it outlasts the shutting"
    silence(door)
    forced = len(door.events("door.forced"))
    with door.expecting("door.opened", 20):
        door.sh(f"{PRESS}; {OPEN}; sleep 1; {SHUT}")
    assert len(door.events("door.forced")) == forced
    assert len(door.edges()) == before, "the lock has not moved"


def test_a_bolt_waits_for_the_door_and_relocks_within_a_turn_of_its_shutting(door: Door):
    door.let_in()
    door.sh(f"{OPEN}; sleep 5")  # longer than unlock_seconds
    assert door.line() == door.unlocked
    seconds = door.until_line(door.locked, 10, "sh", "-c", SHUT)
    sys.stdout.write(f"measured: contact shut to the line driven locked: {seconds:.2f} s\n")
    assert seconds < TURN_SECONDS
    assert door.events("door.locked")[-1]["REASON"] == "closed"


def test_a_door_held_open_warns_and_alarms_at_its_time(door: Door):
    with door.expecting("door.held_open", 30):
        door.sh(f"{PRESS}; {OPEN}")
    warned, held = (float(door.events(f"door.{kind}")[-1]["SECONDS"]) for kind in ("held_warning", "held_open"))
    sys.stdout.write(f"measured: open to warning {warned:.1f} s of {WARNING}, to alarm {held:.1f} s of {HELD}\n")
    assert WARNING <= warned <= WARNING + 0.2
    assert HELD <= held <= HELD + 0.2
    assert siren(door) == "1"
    door.sh(SHUT)
    silence(door)


def test_all_inputs_bouncing_at_once_move_nothing(door: Door):
    """As fast as the machine can, for some seconds; afterwards the contact is believed again."""
    before = len(door.edges())
    pulls = " ".join(f"{pin}/pull" for pin in (CONTACT, EXIT))
    flip = f"for pin in {pulls}; do echo pull-$way >$pin; done"
    door.sh(
        f"end=$(($(date +%s) + 15)); while [ $(date +%s) -lt $end ]; do for way in up down; do {flip}; done; done",
        seconds=60,
    )
    door.sh(f"echo pull-up >{EXIT}/pull; {SHUT}; sleep 7")
    assert len(door.edges()) == before
    silence(door)
    with door.expecting("door.opened", 20):
        door.sh(f"{PRESS}; {OPEN}; sleep 1; {SHUT}")


def test_free_passage_of_a_stopped_daemon_ends_within_its_keepers_second(door: Door):
    restarts = door.unit("NRestarts")
    door.run("facelatch", "mode", "free", "--for", "600")
    door.until(lambda: door.line() == door.unlocked, 10, "free")
    door.run("sleep", "12", seconds=20)  # longer than the ceiling of one unlocking
    assert door.line() == door.unlocked
    assert door.attacked("SIGSTOP in free passage", "signal", "STOP", door.unit("MainPID")) < 1.0
    door.await_restart(restarts, "SIGSTOP in free passage")
    assert door.line() == door.locked
    door.sh(SHUT)


def test_a_lockdown_survives_a_power_cut(door: Door):
    """The reset comes as soon as the command has ended: what is not on the disk by then is lost."""
    door.run("facelatch", "mode", "lockdown")
    with door.machine.measured("power cut in a lockdown to booted again"):
        door.machine.reset()
    door.until(door.ready, 60 * PATIENCE, "READY")
    door.sh(SHUT)
    assert door.run("facelatch", "mode") == "lockdown"
    door.show("robin")
    door.run("sleep", "15", seconds=30)
    door.show("porch")
    assert [edge.unlocked for edge in door.edges()] == [False]
    door.run("facelatch", "mode", "normal")
    door.let_in()
    door.until(lambda: door.line() == door.locked, 20, "locked")
