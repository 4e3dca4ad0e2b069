"""The installed unit under a real systemd and a real journal: starting, dying, refusing, upgrading, leaving."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from facelatch.audit import EventKind

pytestmark = pytest.mark.system

REPO = Path(__file__).resolve().parents[2]
CONFIG_PATH = "/etc/facelatch/facelatch.toml"
STATE = "/var/lib/facelatch"
UNIT = "facelatch.service"

PROBE = """
import ctypes, json, mmap, os, socket
def tried(what):
    try:
        what()
        return "allowed"
    except OSError as error:
        return type(error).__name__
libc = ctypes.CDLL(None, use_errno=True)
def unshare():
    if libc.unshare(0x10000000):
        raise OSError(ctypes.get_errno(), "unshare")
print(json.dumps({
    "write state": tried(lambda: open("/var/lib/facelatch/probe", "w").close()),
    "write etc": tried(lambda: open("/etc/probe", "w")),
    "write program": tried(lambda: open("/opt/facelatch/probe", "w")),
    "network": tried(lambda: socket.socket(socket.AF_INET)),
    "unix socket": tried(lambda: socket.socket(socket.AF_UNIX).close()),
    "writable code": tried(lambda: mmap.mmap(-1, 4096, prot=7)),
    "foreign device": tried(lambda: open("/dev/probe", "rb")),
    "null device": tried(lambda: open("/dev/null", "rb").close()),
    "root's home": tried(lambda: os.listdir("/root")),
    "namespace": tried(unshare),
    "other processes": str(sum(name.isdigit() for name in os.listdir("/proc"))),
    "user": str(os.getuid()),
}))
"""


RELOCKED = "[Service]\nExecStopPost=/bin/echo the lock was driven safe\n"
"""Runs after the unit's own relock, and only when that has ended well."""


def relocked(door: Any) -> int:
    """How often the lock was driven safe after the daemon's end, as long as RELOCKED is in force."""
    door.run("journalctl", "--sync")
    return door.run("journalctl", "-u", UNIT, "-o", "cat", "--no-pager").count("the lock was driven safe")


def test_after_installing_nothing_is_started_and_the_state_is_private(door: Any):
    """Nobody has said yet how the lock is wired."""
    assert door.show("UnitFileState") == "disabled"
    assert door.run("stat", "-c", "%a %U", STATE) == "700 facelatch"
    assert {"facelatch", "video", "gpio"} == set(door.run("id", "-nG", "facelatch").split())
    assert "door" in door.run("man", "-w", "facelatch", check=False) or "facelatch.1" in door.run(
        "ls", "/usr/local/share/man/man1"
    )


def test_the_daemon_gets_ready_and_says_so_in_the_journal_with_all_fields(door: Any):
    before = len(door.events("daemon.ready"))
    with door.measured("start to READY"):
        door.start()
    assert door.ready()
    (event,) = door.until(lambda: door.events("daemon.ready")[before:], 5, "daemon.ready in the journal")
    assert event["MESSAGE_ID"] == EventKind.DAEMON_READY.spec.message_id
    assert event["_SYSTEMD_UNIT"] == UNIT
    assert event["SYSLOG_IDENTIFIER"] == "facelatch"
    assert event["PRIORITY"] == "5"
    assert event["COUNT"] == "0"
    assert re.fullmatch("[0-9a-f]{12}", event["MODEL"])


def test_the_journal_explains_an_event(door: Any):
    door.start()
    text = door.run("journalctl", "-x", "--no-pager", "EVENT=daemon.ready")
    assert "Subject: The door serves" in text
    assert "What to do: nothing" in text


def test_the_running_daemon_answers_members_of_its_group_only(door: Any):
    door.start()
    assert json.loads(door.run("facelatch", "status", "--json"))
    door.run("runuser", "-u", "nobody", "--", "facelatch", "status", check=False)
    assert door.machine.status == 10


def test_the_process_has_no_rights(door: Any):
    door.start()
    status = door.run("cat", f"/proc/{door.show('MainPID')}/status")
    for line in ("NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000"):
        assert line in status


def test_the_sandbox_is_enforced(door: Any):
    """A program in the daemon's place tries what the unit forbids, and what it must be able to do."""
    door.machine.write("/opt/probe.py", PROBE)
    door.run("mknod", "-m", "666", "/dev/probe", "c", "10", "232", check=False)
    door.change_unit(
        "[Service]\nType=oneshot\nRestart=no\nWatchdogSec=0\nExecStartPre=\nExecStopPost=\nExecStart=\n"
        "ExecStart=/usr/bin/python3 /opt/probe.py\nSyslogIdentifier=probe\n"
    )
    door.start()
    said = door.until(lambda: door.run("journalctl", "-t", "probe", "-o", "cat", check=False), 5, "the probe's answer")
    found = json.loads(said.splitlines()[-1])
    assert found.pop("user") == door.run("id", "-u", "facelatch")
    assert int(found.pop("other processes")) <= 1
    assert {name for name, answer in found.items() if answer == "allowed"} == {
        "write state",
        "unix socket",
        "null device",
    }


def test_a_daemon_that_hangs_is_restarted_by_the_watchdog(door: Any):
    door.change_unit(RELOCKED)
    door.start()
    before, pid = relocked(door), door.show("MainPID")
    door.run("kill", "-STOP", pid)
    with door.measured("SIGSTOP to relocked"):
        door.until(lambda: relocked(door) == before + 1, 25, "relocked")
    with door.measured("relocked to READY again"):
        door.until(lambda: door.show("NRestarts") != "0" and door.ready(), 15, "restarted and ready")
    assert door.show("MainPID") != pid
    journal = door.run("journalctl", "-u", UNIT, "--no-pager", "-n", "60")
    assert "Watchdog timeout" in journal


def test_no_end_of_the_daemon_writes_its_memory_to_disk(door: Any):
    """It holds faces."""
    door.start()
    limits = door.run("cat", f"/proc/{door.show('MainPID')}/limits")
    assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)


def test_a_killed_daemon_is_restarted_and_the_lock_driven_safe_in_between(door: Any):
    door.change_unit(RELOCKED)
    door.start()
    before = relocked(door)
    door.run("kill", "-KILL", door.show("MainPID"))
    with door.measured("SIGKILL to relocked"):
        door.until(lambda: relocked(door) == before + 1, 10, "relocked")
    with door.measured("relocked to READY again"):
        door.until(lambda: door.show("NRestarts") == "1" and door.ready(), 15, "restarted and ready")
    assert relocked(door) == before + 1


def test_stopping_locks_and_is_no_failure(door: Any):
    door.change_unit(RELOCKED)
    door.start()
    before = relocked(door)
    stops = len(door.events("daemon.stopping"))
    door.run("systemctl", "stop", UNIT)
    assert door.show("Result") == "success"
    assert len(door.events("daemon.stopping")) == stops + 1
    assert relocked(door) == before + 1


@pytest.mark.parametrize(
    ("fault", "exit_code", "reason"),
    [
        ("configuration", 3, None),
        ("configuration missing", 3, None),
        ("model missing", 4, "start_model"),
        ("model corrupt", 4, "start_model"),
    ],
)
def test_what_a_restart_cannot_repair_is_not_restarted(door: Any, fault: str, exit_code: int, reason: str | None):
    config = door.run("cat", CONFIG_PATH)
    if fault == "configuration":
        door.configure(config + "\n[door]\nunlock_seconds = 1000.0\n")
    elif fault == "configuration missing":
        door.run("rm", CONFIG_PATH)
    else:
        door.configure(config + '\n[model]\npath = "/srv/siamese.tflite"\n')
        door.run("rm", "-f", "/srv/siamese.tflite")
        if fault == "model corrupt":
            door.run("sh", "-c", "cp /opt/facelatch/share/facelatch/models/siamese.* /srv && "
                                 "printf x | dd of=/srv/siamese.tflite bs=1 seek=999 conv=notrunc")  # fmt: skip
    faults = len(door.faults())
    door.start(check=False)
    assert door.machine.status != 0
    door.until(lambda: door.show("ActiveState") == "failed", 15, "failed for good")
    assert (door.show("ExecMainStatus"), door.show("NRestarts")) == (str(exit_code), "0")
    assert door.faults()[faults:] == ([reason] if reason else [])


@pytest.mark.parametrize(
    ("fault", "exit_code", "reason"),
    [
        ("camera missing", 5, "start_camera"),
        ("gallery damaged", 7, "start_gallery"),
        ("state read-only", 7, "start_gallery"),
        ("disk full", 7, "start_gallery"),
    ],
)
def test_what_a_restart_may_repair_is_tried_until_the_limit_and_no_longer(
    door: Any, fault: str, exit_code: int, reason: str
):
    """The limit is lowered from 20 so that the test ends; the rule is the unit's own."""
    limit = "[Unit]\nStartLimitBurst=3\n"
    if fault == "camera missing":
        door.configure(door.run("cat", CONFIG_PATH).replace("/srv/clip", "/srv/none"))
    elif fault == "gallery damaged":
        door.run("runuser", "-u", "facelatch", "--", "sh", "-c", f"cd {STATE} && mkdir away && "
                 "mv gallery.* away/ && echo not a database >gallery.db && chmod 600 gallery.db")  # fmt: skip
    elif fault == "disk full":
        door.run("mount", "-t", "tmpfs", "-o", "size=16k,mode=700,uid=facelatch,gid=facelatch", "full", STATE)
        door.run("sh", "-c", f"cat /dev/zero >{STATE}/fill", check=False)
    else:
        limit += f"[Service]\nStateDirectory=\nReadOnlyPaths={STATE}\n"
    door.change_unit(limit)
    faults = len(door.faults())
    try:
        door.start(check=False)
        assert door.machine.status != 0
        door.until(lambda: door.show("ActiveState") == "failed", 30, "given up")
        assert door.show("ExecMainStatus") == str(exit_code)
        assert set(door.faults()[faults:]) == {reason}
        assert len(door.faults()[faults:]) == 3
        if fault == "gallery damaged":
            assert door.run("cat", f"{STATE}/gallery.db") == "not a database"
    finally:
        if fault == "gallery damaged":
            door.run("sh", "-c", f"cd {STATE} && rm -f gallery.* && mv away/* . && rmdir away")
        elif fault == "disk full":
            door.run("umount", STATE)


CLIP = "/srv/clip-that-fails"

SPOIL = f"""
import os, pathlib, sys
for picture in pathlib.Path("{CLIP}").iterdir():
    if picture.name == "0.jpg" and sys.argv[1] == "frozen":
        continue
    picture.unlink()
    if sys.argv[1] == "stalled":
        os.mkfifo(picture)  # reading it blocks for ever, like a camera whose driver hangs
    elif sys.argv[1] == "frozen":
        picture.hardlink_to("{CLIP}/0.jpg")
"""
"""Does to every picture that is still to come what a failing camera does."""


@pytest.mark.parametrize(
    ("fault", "reason"), [("unplugged", "camera_failed"), ("stalled", "camera_stale"), ("frozen", "picture_frozen")]
)
def test_a_camera_that_fails_while_the_door_serves_is_a_fault_and_comes_back(door: Any, fault: str, reason: str):
    limits = "stale_after_seconds = 2.0\nfrozen_after_seconds = 3.0"
    config = door.run("cat", CONFIG_PATH).replace("/srv/clip", CLIP)
    door.configure(config.replace("stale_after_seconds = 10.0", limits))
    door.run("cp", "-a", "/mnt/shared/clip", CLIP)
    try:
        door.start()
        faults = len(door.faults())
        door.run("python3", "-c", SPOIL, fault)
        with door.measured(f"camera {fault} to fault {reason}"):
            door.until(lambda: reason in door.faults()[faults:], 15, reason)
        door.until(lambda: int(door.show("NRestarts")) > 0, 15, "restarted")
        door.run("rm", "-r", CLIP)
        door.run("cp", "-a", "/mnt/shared/clip", CLIP)
        with door.measured(f"camera no longer {fault} to READY"):
            door.until(door.ready, 30, "serving again")
    finally:
        door.run("rm", "-rf", CLIP)


def test_a_second_daemon_keeps_its_hands_off_the_first_ones_gallery(door: Any):
    door.start()
    door.run("runuser", "-u", "facelatch", "--", "/opt/facelatch/bin/facelatch", "run", check=False)
    assert door.machine.status == 8
    assert door.ready()
    assert door.show("NRestarts") == "0"


def test_the_door_serves_on_while_the_journal_is_away(door: Any):
    door.start()
    pid = door.show("MainPID")
    sockets = ("systemd-journald.socket", "systemd-journald-dev-log.socket", "systemd-journald-audit.socket")
    door.run("systemctl", "stop", "systemd-journald.service", *sockets, check=False)
    try:
        assert json.loads(door.run("facelatch", "status", "--json"))
        assert (door.show("MainPID"), door.ready()) == (pid, True)
    finally:
        door.run("systemctl", "start", *sockets[:2], "systemd-journald.service")
    door.run("systemctl", "stop", UNIT)
    assert door.show("Result") == "success"


def test_upgrading_a_running_door_keeps_gallery_and_configuration(door: Any):
    door.start()
    slot, config = door.run("readlink", "/opt/facelatch"), door.run("cat", CONFIG_PATH)
    door.run("runuser", "-u", "facelatch", "--", "touch", f"{STATE}/keepsake")
    with door.measured("upgrading, all of it"):
        door.install("--upgrade")
    assert door.ready()
    assert door.run("readlink", "/opt/facelatch") != slot
    assert door.run("sh", "-c", "ls -d /opt/facelatch-*") == "/opt/" + door.run("readlink", "/opt/facelatch")
    assert door.run("cat", CONFIG_PATH) == config
    assert "keepsake" in door.run("ls", STATE)
    assert "before-upgrade" not in door.run("ls", "/var/lib")


def test_an_upgrade_that_does_not_get_ready_goes_back_to_what_was(door: Any):
    """The new version dies at start and leaves a mark in the gallery's folder: both are undone."""
    door.start()
    slot, config = door.run("readlink", "/opt/facelatch"), door.run("cat", CONFIG_PATH)
    unit = door.run("sha256sum", "/usr/local/lib/systemd/system/facelatch.service")
    door.run("sh", "-c", "echo '# from the old version' >>/usr/local/lib/systemd/system/facelatch.service")
    changed = door.run("sha256sum", "/usr/local/lib/systemd/system/facelatch.service")
    door.install(wheel=_broken_wheel(door), check=False)
    assert door.machine.status == 1, door.machine.output
    assert f"going back to {slot}" in door.machine.output
    assert door.ready()
    assert door.run("readlink", "/opt/facelatch") == slot
    assert door.run("sh", "-c", "ls -d /opt/facelatch-*") == f"/opt/{slot}"
    assert door.run("cat", CONFIG_PATH) == config
    assert door.run("sha256sum", "/usr/local/lib/systemd/system/facelatch.service") == changed != unit
    assert "mark" not in door.run("ls", STATE)
    assert "before-upgrade" not in door.run("ls", "/var/lib")


BROKEN = b"""

def run(*_, **__):
    open("/var/lib/facelatch/mark", "w").close()
    raise OSError("broken")
"""


def _broken_wheel(door: Any) -> str:
    """A wheel of a version whose daemon never gets ready; returns its path in the container."""
    broken = door.shared / "broken" / door.wheel.name
    broken.parent.mkdir()
    with zipfile.ZipFile(door.wheel) as old, zipfile.ZipFile(broken, "w") as new:
        for item in old.infolist():
            extra = BROKEN if item.filename == "facelatch/loop.py" else b""
            new.writestr(item, old.read(item) + extra)
    return f"/mnt/shared/broken/{door.wheel.name}"


def test_uninstalling_leaves_gallery_and_configuration_and_installing_finds_them_again(door: Any):
    door.start()
    door.install("--uninstall")
    assert door.run("systemctl", "is-active", UNIT, check=False) != "active"
    assert door.run("sh", "-c", "ls -d /opt/facelatch* /usr/local/bin/facelatch", check=False) == ""
    assert "gallery.db" in door.run("ls", STATE)
    config = door.run("cat", CONFIG_PATH)
    door.install()
    assert door.run("cat", CONFIG_PATH) == config
    door.start()
    assert door.ready()


def test_purging_leaves_nothing(door: Any):
    """After it nothing is installed."""
    door.install("--uninstall", "--purge")
    assert left_behind(door) == ""
    assert "f70c4632c70d4b0b9cc2b3e7682f00b9" not in door.run("journalctl", "--list-catalog")


def test_the_package_installs_upgrades_and_leaves_as_the_installer_does(door: Any):
    """The last test. The packages it depends on are the Pi's own, so dpkg is told to go on without them."""
    built = subprocess.run(
        ["sh", REPO / "deploy" / "build-deb.sh", door.shared],
        env=os.environ | {"PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (package,) = door.shared.glob("*.deb")
    pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/mnt/shared/wheels"}
    install = ("dpkg", "--force-depends", "--force-confold", "--install", f"/mnt/shared/{package.name}")
    config = door.run("cat", CONFIG_PATH)
    door.run(*install, **pip)
    assert door.run("cat", CONFIG_PATH) == config
    door.start()
    slot = door.run("readlink", "/opt/facelatch")
    door.run(*install, **pip)
    assert door.ready()
    assert door.run("readlink", "/opt/facelatch") != slot
    door.install("--upgrade", check=False)
    assert "use apt" in door.machine.output
    door.run("dpkg", "--remove", "facelatch")
    assert not door.ready()
    assert "gallery.db" in door.run("ls", STATE)
    assert door.run("cat", CONFIG_PATH) == config
    door.run("dpkg", "--purge", "facelatch")
    assert left_behind(door) == ""


def left_behind(door: Any) -> str:
    """Every trace of an installation, the user included; empty when there is none."""
    places = f"/opt/facelatch* /etc/facelatch {STATE}* /usr/bin/facelatch /usr/share/facelatch /usr/local/*/facelatch*"
    return door.run("sh", "-c", f"ls -d {places}; getent passwd facelatch", check=False)
