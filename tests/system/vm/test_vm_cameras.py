"""What a V4L2 camera can do wrong, and what it may do without being wrong."""

from __future__ import annotations

import pytest
from door import UNIT, Door

pytestmark = pytest.mark.system

FEEDER = "test-camera.service"


def test_a_covered_lens_is_no_fault_and_opens_nothing(door: Door):
    before, faults, restarts = len(door.edges()), len(door.faults()), door.unit("NRestarts")
    door.show("black")
    door.run("sleep", "15", seconds=20)  # longer than a picture may stay the same
    assert door.ready()
    assert (len(door.edges()), len(door.faults()), door.unit("NRestarts")) == (before, faults, restarts)


def test_a_slow_camera_still_lets_in(door: Door):
    door.let_in("robin", rate=1.0)


@pytest.mark.parametrize(
    ("spoil", "repair", "reason"),
    [
        (f"systemctl kill -s STOP {FEEDER}", f"systemctl kill -s CONT {FEEDER}", "camera_failed"),
        ("echo still.320x240 5 >/run/camera", "echo porch.320x240 5 >/run/camera", "picture_frozen"),
    ],
    ids=["frozen", "repeating"],
)
def test_a_camera_that_hangs_is_a_fault_and_comes_back(door: Door, spoil: str, repair: str, reason: str):
    """OpenCV gives up a frozen camera after 10 s by itself, before the limit that is set here. The process goes on."""
    restarts, pid = door.unit("NRestarts"), door.unit("MainPID")
    with door.expecting("fault", 30, reason):
        door.sh(spoil)
    assert door.line() == door.locked
    with door.expecting("camera.recovered", 90):
        door.sh(repair)
    assert (door.unit("NRestarts"), door.unit("MainPID")) == (restarts, pid)
    door.run("sleep", "5")  # longer than session.rearm_seconds: the repeated picture is of whoever comes next
    door.let_in()


def test_a_camera_of_another_size_is_used_as_it_is(door: Door):
    door.run("systemctl", "stop", UNIT)
    door.show("porch.640x480")
    door.run("systemctl", "restart", FEEDER)
    try:
        door.start()
        door.let_in("robin.640x480", back_to="porch.640x480")
    finally:
        door.run("systemctl", "stop", UNIT)
        door.show("porch")
        door.run("systemctl", "restart", FEEDER)


def test_a_camera_that_is_unplugged_is_a_fault_and_comes_back(door: Door):
    """The kernel's own test camera can be unplugged while it is in use."""
    door.run("modprobe", "vivid")
    door.configure(device='"/dev/video20"')
    door.run("systemctl", "restart", UNIT, seconds=60)
    try:
        pid = door.unit("MainPID")
        with door.expecting("fault", 30, "camera_failed"):
            door.run("v4l2-ctl", "-d", "/dev/video20", "--set-ctrl", "disconnect=1")
        assert door.line() == door.locked
        with door.expecting("camera.recovered", 90):
            door.until(
                lambda: door.sh("rmmod vivid && modprobe vivid", check=False) or not door.machine.status, 60, "back"
            )
        assert door.unit("MainPID") == pid
    finally:
        door.configure()
        door.run("systemctl", "stop", UNIT)
