"""QEMU is killed while the gallery changes: nothing is half saved, nothing that was reported is lost."""

from __future__ import annotations

import os
import random
import re
import sys
import time
from pathlib import Path

import pytest
from machine import PATIENCE, new_disk, start_qemu

pytestmark = pytest.mark.system

IMAGES = 8
CUTS = int(os.environ.get("FACELATCH_CUTS", "2"))
"""Of each kind. Each needs a boot, so CI makes few; 7 make more than 20 in all."""


@pytest.mark.parametrize("kind", ["enrolment", "removal", "migration"])
def test_a_power_cut_loses_nothing_reported_and_leaves_nothing_half_done(image: Path, tmp_path: Path, kind: str):
    disk, chance = new_disk(tmp_path / "disk.qcow2", image / "root.img"), random.Random(kind)
    said: list[str] = []
    in_the_middle = 0
    for cut in range(CUTS + 1):
        before, said = said, _until_cut(image, disk, tmp_path, kind, chance.uniform(0.0, 1.2))
        _check(before, said)
        in_the_middle += said[-1].startswith("begin")
        done = sum(line.startswith("done") for line in said)
        sys.stdout.write(f"measured: {kind}, cut {cut}: {done} reported done, then {said[-1]!r}\n")
    assert in_the_middle > 0, "no cut came in the middle of anything"


def _until_cut(image: Path, disk: Path, work: Path, kind: str, seconds: float) -> list[str]:
    """What the machine said until its power was cut, `seconds` after it had begun the first change of this kind."""
    begin = {"enrolment": "begin add", "removal": "begin remove", "migration": "begin (embed|schema)"}[kind]
    (work / "console").write_text("")
    machine = start_qemu(image, disk, work, f"cuts={kind}", ["-smp", "1", "-m", "512"])
    try:
        deadline = time.monotonic() + 60 * PATIENCE
        while not any(re.match(begin, line) for line in _said(work)):
            console = (work / "console").read_text(errors="replace")
            assert time.monotonic() < deadline, console[-3000:]
            assert machine.poll() is None, console[-3000:]
            time.sleep(0.05)
        time.sleep(seconds * PATIENCE / 2)
    finally:
        machine.kill()
        machine.wait()
    return _said(work)


def _said(work: Path) -> list[str]:
    lines = (work / "console").read_text(errors="replace").split("\n")[:-1]
    return [line.strip().split("CUT ", 1)[1] for line in lines if "CUT " in line]


def _check(before: list[str], after: list[str]) -> None:
    """What is there after a cut, against what was there at the boot before and what was reported since."""
    there = dict(pair.split(":") for pair in after[0].split()[1:])
    assert set(there.values()) <= {str(IMAGES)}, f"half saved: {there}"
    if not before:
        return
    certain = {pair.split(":")[0] for pair in before[0].split()[1:]}
    open_end: set[str] = set()
    for line in before[2:]:
        stage, what, name = line.split()
        if what not in ("add", "remove"):
            continue
        if stage == "begin":
            open_end.add(name)
            continue
        open_end.discard(name)
        (certain.add if what == "add" else certain.discard)(name)
    assert certain - open_end <= set(there), f"lost: {certain - open_end - set(there)}"
    assert set(there) <= certain | open_end, f"came back: {set(there) - certain - open_end}"
    assert set(after[1].split()[1:]) == set(there), "traces of somebody removed, or a first image not to be found"
