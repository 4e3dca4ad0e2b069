"""Whatever becomes of the daemon or of the lock's keeper while the door is unlocked: how soon the line is locked.

Seconds are the machine's own, from the attack to the write that the kernel traced. They are not multiplied by the
tests' patience: an emulated processor is slower than a Pi's.
"""

from __future__ import annotations

import re
import sys

import pytest
from door import KEEPER, UNIT, Door
from patient import PATIENCE

pytestmark = pytest.mark.system

STATE = "/var/lib/facelatch"
DAEMON_SECONDS = 1.0
"""From the end, or the standstill, of the daemon to the locked line."""
KEEPER_SECONDS = 3.0
"""The same for its keeper, whose watchdog alone takes two."""


@pytest.mark.parametrize("name", ["KILL", "STOP"])
def test_a_daemon_that_is_killed_or_stopped_is_locked_by_its_keeper_and_serves_again(either_door: Door, name: str):
    door = either_door
    keeper, restarts = door.unit("MainPID", KEEPER), door.unit("NRestarts")
    door.let_in()
    assert door.attacked(f"SIG{name}", "signal", name, door.unit("MainPID")) < DAEMON_SECONDS
    door.await_restart(restarts, f"SIG{name}")
    assert (door.line(), door.unit("MainPID", KEEPER)) == (door.locked, keeper)


@pytest.mark.one_relay_in_short
def test_a_daemon_without_memory_is_locked_by_its_keeper_and_serves_again_when_there_is_room(either_door: Door):
    door = either_door
    door.let_in()
    restarts = door.unit("NRestarts")
    try:
        assert door.attacked("out of memory", "memory", UNIT, "24M") < DAEMON_SECONDS
        door.until(lambda: "oom-kill" in door.sh(f"journalctl -b -u {UNIT} -o cat"), 20, "ended for want of memory")
    finally:
        door.run("systemctl", "set-property", "--runtime", UNIT, "MemoryMax=512M")
    door.await_restart(restarts, "memory ceiling")
    assert door.line() == door.locked


@pytest.mark.one_relay_in_short
def test_a_disk_that_hangs_is_no_matter_to_the_keeper(either_door: Door):
    """As a dying SD card does: the loop waits for ever in writing what somebody asked for over the control socket."""
    door = either_door
    door.run("fsfreeze", "--freeze", STATE)
    try:
        door.let_in()
        request = '{"action": "admin", "name": "robin", "admin": true}'
        assert door.attacked("disk hung", "request", request) < DAEMON_SECONDS
        assert door.sh(f"ps -o state= {door.unit('MainPID')}") == "D", "it did not hang in the disk"
    finally:
        door.run("fsfreeze", "--unfreeze", STATE)
    door.until(door.ready, 60, "serving, by itself or by the watchdog")
    door.run("systemctl", "restart", UNIT, seconds=60)


@pytest.mark.one_relay_in_short
def test_a_message_of_twelve_mebibytes_holds_up_nothing(either_door: Door):
    """Taken apart in one piece it held every thread of the daemon for many seconds; more than 64 KiB are not read."""
    door = either_door
    pid, lapsed = door.unit("MainPID"), len(door.events("door.lapsed"))
    door.let_in()
    door.attacked("a message of 12 MiB", "message", "12")
    door.until(lambda: door.line() == door.locked, 20, "locked")
    assert len(door.events("door.lapsed")) == lapsed
    assert door.unit("MainPID") == pid
    assert door.ready()


@pytest.mark.one_relay_in_short
@pytest.mark.parametrize("name", ["KILL", "STOP"])
def test_a_keeper_that_is_killed_or_stopped_is_relocked_by_systemd_and_both_serve_again(either_door: Door, name: str):
    door = either_door
    keeper, restarts = door.unit("MainPID", KEEPER), door.unit("NRestarts")
    door.let_in()
    assert door.attacked(f"SIG{name} of the keeper", "signal", name, keeper) < KEEPER_SECONDS
    door.await_restart(restarts, f"SIG{name} of the keeper")
    assert door.line() == door.locked
    assert "gpio" in door.faults()[-1]


@pytest.mark.one_relay_in_short
@pytest.mark.parametrize("first", [KEEPER, UNIT])
def test_neither_start_moves_the_line_in_either_order(either_door: Door, first: str):
    door = either_door
    door.run("systemctl", "stop", UNIT, KEEPER, seconds=60)
    before = len(door.edges())
    second = UNIT if first == KEEPER else KEEPER
    door.run("systemctl", "start", "--job-mode=ignore-dependencies", "--no-block", first)
    door.run("sleep", "1")
    door.run("systemctl", "start", "--job-mode=ignore-dependencies", second, seconds=60)
    door.until(door.ready, 60, "READY")
    assert [edge for edge in door.edges()[before:] if edge.unlocked] == []


def test_other_settings_reach_the_keeper_with_a_restart_of_the_daemon_alone(door: Door):
    """Nobody should have to know that there are two processes."""
    keeper = door.unit("MainPID", KEEPER)
    door.configure(max_unlock_seconds="9.0")
    door.run("systemctl", "restart", UNIT, seconds=60)
    assert door.ready()
    assert door.unit("MainPID", KEEPER) != keeper
    assert "--ceiling 9" in door.sh(f"tr '\\0' ' ' </proc/{door.unit('MainPID', KEEPER)}/cmdline")
    door.configure()
    door.run("systemctl", "restart", UNIT, seconds=60)


def test_a_configuration_broken_meanwhile_leaves_the_keeper_its_pin(door: Door):
    door.sh("echo '[gpio' >>/etc/facelatch/facelatch.toml")
    try:
        keeper = door.unit("MainPID", KEEPER)
        door.run("kill", "-KILL", keeper)
        door.until(
            lambda: door.unit("MainPID", KEEPER) not in ("0", keeper) and door.unit("ActiveState", KEEPER) == "active",
            10 * PATIENCE,
            "the keeper is back",
        )
        assert f"--pin 17 --locked {'low' if door.locked == '0' else 'high'}" in door.sh(
            f"tr '\\0' ' ' </proc/{door.unit('MainPID', KEEPER)}/cmdline"
        )
        assert door.line() == door.locked
    finally:
        door.configure()
        door.run("systemctl", "reset-failed", UNIT, check=False)
        door.start()


def test_the_keeper_is_light_and_stays_in_memory(door: Door):
    """With the same Python as on a Pi, and under the limits of its unit."""
    status = door.sh(f"grep -E '^(VmRSS|VmLck)' /proc/{door.unit('MainPID', KEEPER)}/status")
    resident, locked = (int(re.findall(rf"{key}:\s+(\d+)", status)[0]) for key in ("VmRSS", "VmLck"))
    sys.stdout.write(f"measured: keeper {resident / 1024:.1f} MB resident, {locked / 1024:.1f} MB locked\n")
    assert 0 < resident < 18 * 1024
    assert locked > 0
