"""A real line, a real V4L2 camera, a door that is unlocked: who comes in, and what faults do then."""

from __future__ import annotations

import sys

import pytest
from door import LATEST_SECONDS, UNIT, UNLOCK_SECONDS, Door
from patient import PATIENCE

pytestmark = pytest.mark.system

STATE = "/var/lib/facelatch"


def assert_relocked_in_time(door: Door, *meanwhile: str) -> None:
    """After `unlock_seconds` by the loop; where that is slow, by the lock's keeper and not later."""
    door.until_line(door.locked, 30, *meanwhile)
    first, second = door.edges()[-2:]
    assert (first.unlocked, second.unlocked) == (True, False)
    sys.stdout.write(f"measured: unlocked for {second.at - first.at:.2f} s\n")
    assert UNLOCK_SECONDS - 0.5 < second.at - first.at < LATEST_SECONDS + 1


def test_from_power_on_to_the_first_ready_the_line_is_driven_once_and_to_the_safe_level(either_door: Door):
    door = either_door
    ready = float(door.events("daemon.ready")[0]["__MONOTONIC_TIMESTAMP"]) / 1e6
    assert [edge.unlocked for edge in door.edges() if edge.at < ready] == [False]


def test_an_enrolled_person_unlocks_the_line_and_it_locks_again_in_time(either_door: Door):
    door = either_door
    door.let_in()
    assert_relocked_in_time(door, "true")
    assert door.events("visit.granted")[-1]["PERSON"] == "robin"


def test_a_stranger_is_refused_and_the_line_stays_locked(door: Door):
    before = len(door.edges())
    with door.expecting("visit.refused", 40):
        door.show("stranger")
    assert len(door.edges()) == before


def test_of_two_real_people_the_enrolled_one_is_let_in_and_the_other_refused(door: Door):
    if "guest" not in door.sh("tar -tf /dev/vdb"):
        pytest.skip("no film of real people beside the checkout: ../shared/data/clips.tar")
    door.let_in("guest")
    door.until_line(door.locked, 30, "true")
    assert door.events("visit.granted")[-1]["PERSON"] == "guest"
    before = len(door.edges())
    with door.expecting("visit.refused", 40):
        door.show("passer-by")
    assert len(door.edges()) == before


def test_a_stop_while_unlocked_locks_at_once(either_door: Door):
    """SIGTERM."""
    door = either_door
    door.let_in()
    with door.expecting("daemon.stopping", 10):
        seconds = door.until_line(door.locked, 20, "systemctl", "stop", "--no-block", UNIT)
    assert seconds < 2 * PATIENCE
    door.until(lambda: door.unit("ActiveState") == "inactive", 20, "stopped")
    assert (door.unit("Result"), door.line()) == ("success", door.locked)
    sys.stdout.write(f"measured: SIGTERM while unlocked to locked: {seconds} s\n")


@pytest.mark.one_relay_in_short
def test_a_restart_while_unlocked_locks_and_the_door_serves_again(either_door: Door):
    door = either_door
    pid = door.unit("MainPID")
    door.let_in()
    seconds = door.until_line(door.locked, 60, "systemctl", "restart", "--no-block", UNIT)
    assert seconds < 2 * PATIENCE
    door.until(lambda: door.ready() and door.unit("MainPID") != pid, 60, "serving again")


def test_upgrading_keeps_the_line_locked(door: Door):
    """The same version again: what is stopped, swapped and started is the same."""
    before, slot = len(door.edges()), door.run("readlink", "/opt/facelatch")
    with door.measured("upgrade"):
        install = "sh /srv/repo/deploy/install.sh --no-apt --upgrade --wheel /srv/wheels/facelatch-*.whl"
        door.sh(f"PIP_NO_INDEX=1 {install}", seconds=200)
    assert door.ready()
    assert door.run("readlink", "/opt/facelatch") != slot
    assert [edge for edge in door.edges()[before:] if edge.unlocked] == []


@pytest.mark.parametrize("jump", ["+1 day", "-2 days"])
def test_a_clock_that_jumps_while_unlocked_changes_nothing(door: Door, jump: str):
    door.let_in()
    restarts = door.unit("NRestarts")
    assert_relocked_in_time(door, "date", "--set", jump)
    assert (door.ready(), door.unit("NRestarts")) == (True, restarts)


@pytest.mark.one_relay_in_short
def test_restarting_the_whole_machine_while_unlocked_locks_and_never_unlocks_again(either_door: Door):
    door = either_door
    door.let_in()
    (door.machine.work / "trace").write_text("")
    door.machine.restart("systemctl", "reboot")
    last = door.edges_of((door.machine.work / "trace").read_text())[-1]
    assert not last.unlocked
    door.until(door.ready, 60, "READY")
    assert [edge.unlocked for edge in door.edges()] == [False]


def test_a_kernel_that_crashes_is_restarted_by_the_hardware_watchdog(door: Door):
    door.run("sysctl", "-w", "kernel.panic=0")
    with door.measured("kernel crash to booted again"):
        door.machine.restart("sh", "-c", "echo c >/proc/sysrq-trigger")
    door.until(door.ready, 60, "READY")
    assert [edge.unlocked for edge in door.edges()] == [False]
