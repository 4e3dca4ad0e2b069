"""The power is cut while the gallery changes: nothing is half saved, nothing that was reported is lost."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from machine import new_ext4, start_qemu
from patient import PATIENCE, SHORT

pytestmark = pytest.mark.system

HERE = Path(__file__).resolve().parent
IMAGES = 8
CUTS = int(os.environ.get("FACELATCH_CUTS", "8" if SHORT else "20"))
"""Of each kind."""
BEGINS = {
    "enrolment": "begin add",
    "removal": "begin remove",
    "migration": "begin (embed|schema)",
    "sealing": "begin seal",
}


@pytest.mark.parametrize("kind", BEGINS)
def test_a_power_cut_loses_nothing_reported_and_leaves_nothing_half_done(image: Path, tmp_path: Path, kind: str):
    """The machine is stopped in the middle, its disk copied as it is then, and started as after a loss of power."""
    chance = random.Random(kind)
    in_the_middle = 0
    with changing_gallery(image, tmp_path, kind) as cut:
        for number in range(CUTS):
            time.sleep(chance.uniform(0.0, 0.4))
            said = cut(tmp_path / "copy.img")
            in_the_middle += bool(re.match(BEGINS[kind], said[-1]))
            assert_nothing_lost(said, *report(tmp_path / "copy.img", tmp_path / f"copy-{number}", said))
    sys.stdout.write(f"measured: {kind}: {CUTS} cuts, {in_the_middle} in the middle of one; {len(said)} lines said\n")
    assert in_the_middle >= CUTS / 10, "too few cuts came in the middle of what is tried here"
    done = BEGINS[kind].replace("begin", "done")
    assert any(re.match(done, line) for line in said), "nothing was ever finished: did the machine's program die?"


@contextmanager
def changing_gallery(image: Path, work: Path, kind: str) -> Iterator[Callable[[Path], list[str]]]:
    """A machine that does nothing but change its gallery; what is yielded copies its disk at this very moment."""
    disk = new_ext4(work / "gallery.img", "128M")
    devices = ["-m", "512", "-drive", f"file={disk},if=virtio,format=raw,cache=writeback"]
    (work / "console").write_text("")
    root = f"file={image}/root.img,format=raw,snapshot=on"
    machine = start_qemu(image, root, work, f"cuts={kind}", devices)

    def cut(copy: Path) -> list[str]:
        """What the machine had said when its disk was as in the copy."""
        console = (work / "console").read_text(errors="replace")
        assert machine.poll() is None, console[-3000:]
        assert "Traceback" not in console, f"the machine's program died: {console[-3000:]}"
        os.kill(machine.pid, signal.SIGSTOP)  # all its threads, those too that are writing to the disk
        os.waitid(os.P_PID, machine.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        try:
            shutil.copyfile(disk, copy)
            return said(work)
        finally:
            os.kill(machine.pid, signal.SIGCONT)

    try:
        deadline = time.monotonic() + 60 * PATIENCE
        while not any(re.match(BEGINS[kind], line) for line in said(work)):
            console = (work / "console").read_text(errors="replace")
            assert time.monotonic() < deadline, console[-3000:]
            assert machine.poll() is None, console[-3000:]
            time.sleep(0.05)
        yield cut
    finally:
        machine.kill()
        machine.wait()


def said(work: Path) -> list[str]:
    """The lines of test-cuts on the console."""
    lines = (work / "console").read_text(errors="replace").split("\n")[:-1]
    return [line.strip().split("CUT ", 1)[1] for line in lines if "CUT " in line]


def report(copy: Path, home: Path, said: list[str]) -> tuple[dict[str, int], set[str]]:
    """Who is in the gallery on a disk that lost its power, with how many images; and of whom there are traces."""
    repaired = subprocess.run(["e2fsck", "-p", copy], capture_output=True, text=True, check=False)
    assert repaired.returncode <= 1, f"the file system itself is damaged: {repaired.stdout}"
    home.mkdir()
    subprocess.run(["debugfs", "-R", f"rdump /gallery {home}", copy], check=True, capture_output=True)
    (home / "gallery").chmod(0o700)
    last = max(int(name) for line in said for name in re.findall(r"add p(\d+)$", line))
    command = [sys.executable, HERE / "guest/usr/local/sbin/test-cuts", "report", home / "gallery", str(last)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"the gallery cannot be opened: {done.stderr}"
    people, traces = (line.split()[1:] for line in done.stdout.splitlines())
    return {name: int(images) for name, images in (pair.split(":") for pair in people)}, set(traces)


def assert_nothing_lost(said: list[str], people: dict[str, int], traces: set[str]) -> None:
    """What is there after a cut, against what was reported before it."""
    assert set(people.values()) <= {IMAGES}, f"half saved: {people}"
    certain: set[str] = set()
    doubtful: set[str] = set()
    for stage, what, name in (line.split() for line in said):
        if what not in ("add", "remove"):
            continue
        if stage == "begin":
            doubtful.add(name)
            continue
        doubtful.discard(name)
        (certain.add if what == "add" else certain.discard)(name)
    assert certain - doubtful <= set(people), f"lost: {certain - doubtful - set(people)}"
    assert set(people) <= certain | doubtful, f"came back: {set(people) - certain - doubtful}"
    assert traces == set(people), "traces of somebody removed, or a first image not to be found"
