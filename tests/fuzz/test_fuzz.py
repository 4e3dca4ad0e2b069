"""A bounded minute of fuzzing: each target for some seconds, the same inputs every time. Hours are for `fuzz.py`."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import fuzz
from mutations import mutated
from targets import BY_HAND, TARGETS

SECONDS = 6.0


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_a_target_survives_some_seconds(name: str, tmp_path: Path) -> None:
    finds = fuzz.fuzz(name, SECONDS, 1, tmp_path, most=1)
    assert finds.crashes == []
    assert finds.inputs > 50


@pytest.mark.parametrize("name", [*TARGETS, *BY_HAND])
def test_what_a_target_begins_with_is_whole(name: str) -> None:
    """Fuzzing that starts from refused inputs would never get far."""
    target = (TARGETS | BY_HAND)[name]
    for seed in target.seeds():
        target.trial(seed)


def test_the_same_seed_makes_the_same_input() -> None:
    one, two = (mutated(b"hello" * 9, random.Random(7), (b"x",), (b"other",)) for _ in range(2))
    assert one == two


@pytest.mark.slow
def test_an_input_that_kills_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of a target's code: a script that dies of its second input."""
    script = tmp_path / "dying.py"
    script.write_text(
        "import mmap, os, struct, sys\n"
        "memory = mmap.mmap(int(sys.argv[-1]), 100)\n"
        "memory[:19] = struct.pack('=QQ', 2, 3) + b'bad'\n"
        "os.kill(os.getpid(), 11)\n"
    )
    monkeypatch.setattr(fuzz, "__file__", str(script))
    finds = fuzz.fuzz("crops", 30.0, 1, tmp_path / "finds", most=1)
    assert finds.inputs == 2
    assert [path.read_bytes() for path in finds.crashes] == [b"bad"]
    assert "signal11" in finds.crashes[0].name
