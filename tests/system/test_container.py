"""The installed unit under a real systemd and a real journal: starting, refusing to, its sandbox, failing cameras."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from facelatch.audit.events import EventKind

pytestmark = pytest.mark.system

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


def test_after_installing_nothing_is_started_and_the_state_is_private(door: Any):
    """Nobody has said yet how the lock is wired."""
    assert door.show("UnitFileState") == "disabled"
    assert door.run("stat", "-c", "%a %U", STATE) == "700 facelatch"
    assert {"facelatch", "video", "gpio", "facelatch-lock"} == set(door.run("id", "-nG", "facelatch").split())
    assert "door" in door.run("man", "-w", "facelatch", check=False) or "facelatch.1" in door.run(
        "ls", "/usr/local/share/man/man1"
    )


def test_apts_numpy_is_the_one_in_use(door: Any):
    """apt's picamera2 is compiled for it; the folder of wheels offers pip a newer one."""
    which = ("-c", "import numpy; print(numpy.__version__, numpy.__file__)")
    ours = door.run("/usr/bin/python3", *which)
    assert "/usr/lib/python3/dist-packages/numpy" in ours
    assert ours.split()[0] not in {
        wheel.name.split("-")[1] for wheel in (door.shared / "wheels").glob("numpy-*")
    }
    assert door.run("/opt/facelatch/bin/python", *which) == ours
    assert door.run("cat", "/opt/facelatch/constraints.txt") == f"numpy=={ours.split()[0]}"


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
    said = door.until(
        lambda: door.run("journalctl", "-t", "probe", "-o", "cat", check=False), 5, "the probe's answer"
    )
    found = json.loads(said.splitlines()[-1])
    assert found.pop("user") == door.run("id", "-u", "facelatch")
    assert int(found.pop("other processes")) <= 1
    assert {name for name, answer in found.items() if answer == "allowed"} == {
        "write state",
        "unix socket",
        "null device",
    }


def test_no_end_of_the_daemon_writes_its_memory_to_disk(door: Any):
    """It holds faces."""
    door.start()
    limits = door.run("cat", f"/proc/{door.show('MainPID')}/limits")
    assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)


def test_stopping_locks_and_is_no_failure(door: Any):
    door.change_unit(door.RELOCKED)
    door.start()
    before = door.relocked()
    stops = len(door.events("daemon.stopping"))
    door.run("systemctl", "stop", UNIT)
    assert door.show("Result") == "success"
    assert len(door.events("daemon.stopping")) == stops + 1
    assert door.relocked() == before + 1


@pytest.mark.parametrize(
    ("fault", "exit_code", "reason"),
    [
        ("configuration", 3, None),
        ("configuration missing", 3, None),
        ("model missing", 4, "start_model"),
        ("model corrupt", 4, "start_model"),
    ],
)
def test_what_a_restart_cannot_repair_is_not_restarted(
    door: Any, fault: str, exit_code: int, reason: str | None
):
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


SPOIL_GALLERY = """
import os, pathlib, sqlite3, sys, time
gallery, fault = pathlib.Path("gallery.db"), sys.argv[1]
if fault == "damaged":
    gallery.write_text("not a database")
elif fault == "missing":
    gallery.rename("gallery.db-wal")  # what is left is the log, as after a file was lost
elif fault == "truncated":
    os.truncate(gallery, gallery.stat().st_size // 2 + 100)
else:
    database = sqlite3.connect(gallery, isolation_level=None)
    if fault == "from the future":
        database.execute("PRAGMA user_version = 99")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    else:
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("BEGIN EXCLUSIVE")
        print("locked", flush=True)
        time.sleep(600)
"""
"""Run in the state directory: does to the gallery what a failing card, a careless person or an older version meets."""


@contextmanager
def spoiled_gallery(door: Any, fault: str) -> Iterator[None]:
    """With a copy of the gallery spoiled; the copy taken before comes back afterwards."""
    as_daemon = ("runuser", "-u", "facelatch", "--")
    door.machine.write("/srv/spoil.py", SPOIL_GALLERY)
    door.run(*as_daemon, "sh", "-c", f"cd {STATE} && rm -rf kept && mkdir kept && cp gallery.db kept/")
    spoil = f"cd {STATE} && exec python3 /srv/spoil.py '{fault}'"
    if fault == "locked":
        door.run("systemd-run", "--quiet", "--unit=holder", "--uid=facelatch", "sh", "-c", spoil)
        door.until(
            lambda: "locked" in door.run("journalctl", "-u", "holder", "-o", "cat"), 10, "the gallery is held"
        )
    else:
        door.run(*as_daemon, "sh", "-c", spoil)
    evidence = f"{STATE}/gallery.db-wal" if fault == "missing" else f"{STATE}/gallery.db"
    before = door.run("sha256sum", evidence)
    try:
        yield
        assert door.run("sha256sum", evidence) == before, "it may be all that is left of the faces"
    finally:
        door.run("systemctl", "stop", "holder", check=False)
        door.run("systemctl", "stop", UNIT, check=False)
        door.run("sh", "-c", f"cd {STATE} && rm -f gallery.db* && mv kept/gallery.db . && rmdir kept")


@contextmanager
def full_disk(door: Any) -> Iterator[None]:
    """With a state directory that has no room at all."""
    door.run("mount", "-t", "tmpfs", "-o", "size=16k,mode=700,uid=facelatch,gid=facelatch", "full", STATE)
    try:
        door.run("sh", "-c", f"cat /dev/zero >{STATE}/fill", check=False)
        yield
    finally:
        door.run("systemctl", "stop", UNIT, check=False)
        door.run("umount", STATE)


@pytest.mark.parametrize(
    ("fault", "exit_code", "reason"),
    [
        ("camera missing", 5, "start_camera"),
        ("gallery damaged", 7, "start_gallery"),
        ("gallery missing", 7, "start_gallery"),
        ("gallery truncated", 7, "start_gallery"),
        ("gallery from the future", 7, "start_gallery"),
        ("gallery locked", 7, "start_gallery"),
        ("state read-only", 7, "start_gallery"),
        ("disk full", 7, "start_gallery"),
    ],
)
def test_what_a_restart_may_repair_is_tried_until_the_limit_and_no_longer(
    door: Any, fault: str, exit_code: int, reason: str
):
    """The limit is lowered from 20 so that the test ends; the rule is the unit's own."""
    limit = "[Unit]\nStartLimitBurst=2\n"
    with ExitStack() as spoiled:
        if fault == "camera missing":
            door.configure(door.run("cat", CONFIG_PATH).replace("/srv/clip", "/srv/none"))
        elif fault == "disk full":
            spoiled.enter_context(full_disk(door))
        elif fault == "state read-only":
            limit += f"[Service]\nStateDirectory=\nReadOnlyPaths={STATE}\n"
        else:
            spoiled.enter_context(spoiled_gallery(door, fault.removeprefix("gallery ")))
        door.change_unit(limit)
        faults, ready = len(door.faults()), len(door.events("daemon.ready"))
        with door.measured(f"{fault}: two tries"):
            door.start(check=False)
            assert door.machine.status != 0
            door.until(lambda: door.show("ActiveState") == "failed", 30, "given up")
        assert door.show("ExecMainStatus") == str(exit_code)
        assert door.faults()[faults:] == [reason, reason]
        assert len(door.events("daemon.ready")) == ready, "nobody may think that it serves"


def test_a_gallery_that_was_never_there_opens_to_nobody(door: Any):
    """An empty state directory is a new door: it serves, and knows nobody."""
    door.run("mount", "-t", "tmpfs", "-o", "size=8m,mode=700,uid=facelatch,gid=facelatch", "empty", STATE)
    try:
        door.start()
        assert json.loads(door.run("facelatch", "people", "list", "--json")) == []
        assert json.loads(door.run("facelatch", "status", "--json"))["door"] == "locked: no people enrolled"
    finally:
        door.run("systemctl", "stop", UNIT, check=False)
        door.run("umount", STATE)


CLIP = "/srv/clip-that-fails"

SPOIL = f"""
import os, pathlib, signal, sys
if sys.argv[1] == "stalled":  # whoever decodes the next picture is waited for, like a driver that hangs
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        its_own = int(process.name) == os.getpid()  # these very words are its command line
        if not its_own and b"decoder import worker" in (process / "cmdline").read_bytes():
            os.kill(int(process.name), signal.SIGSTOP)
    sys.exit()
for picture in pathlib.Path("{CLIP}").iterdir():
    if picture.name == "0.jpg" and sys.argv[1] == "frozen":
        continue
    picture.unlink()
    if sys.argv[1] == "frozen":
        picture.hardlink_to("{CLIP}/0.jpg")
"""
"""Does to every picture that is still to come what a failing camera does."""


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("unplugged", "camera_failed"), ("stalled", "camera_stale"), ("frozen", "picture_frozen")],
)
def test_a_camera_that_fails_while_the_door_serves_is_a_fault_and_comes_back(
    door: Any, fault: str, reason: str
):
    """It is opened again by the same process."""
    limits = "stale_after_seconds = 2.0\nfrozen_after_seconds = 3.0"
    config = door.run("cat", CONFIG_PATH).replace("/srv/clip", CLIP)
    door.configure(config.replace("stale_after_seconds = 10.0", limits))
    door.run("cp", "-a", "/mnt/shared/clip", CLIP)
    try:
        door.start()
        faults, recovered, pid = len(door.faults()), len(door.events("camera.recovered")), door.show("MainPID")
        door.run("python3", "-c", SPOIL, fault)
        with door.measured(f"camera {fault} to fault {reason}"):
            door.until(lambda: reason in door.faults()[faults:], 15, reason)
        door.run("pkill", "-KILL", "-f", "decoder import worker", check=False)  # one that was stopped
        door.run("rm", "-r", CLIP)
        door.run("cp", "-a", "/mnt/shared/clip", CLIP)
        with door.measured(f"camera no longer {fault} to camera.recovered"):
            door.until(lambda: len(door.events("camera.recovered")) > recovered, 45, "camera.recovered")
        assert (door.show("MainPID"), door.show("NRestarts")) == (pid, "0")
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
        door.run("facelatch", "lockout", "--clear")  # an event, which is lost
        assert (door.show("MainPID"), door.ready()) == (pid, True)
    finally:
        door.run("systemctl", "start", *sockets[:2], "systemd-journald.service")
    door.run("systemctl", "stop", UNIT)
    assert door.show("Result") == "success"
