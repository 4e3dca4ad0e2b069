"""Fuzzing by hand, for minutes or hours: what survives prints one line, what does not leaves its input behind.

    python tests/fuzz/fuzz.py pictures crops --minutes 60
    python tests/fuzz/fuzz.py all --minutes 3
    python tests/fuzz/fuzz.py crops --try FILE       one input again, in this process

Inputs are tried in a process of their own, which is replaced when one kills it, or takes longer than 30 s.
"""

from __future__ import annotations

import argparse
import contextlib
import mmap
import os
import random
import resource
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[2] / "daemon")]

from mutations import LARGEST_BYTES
from targets import BY_HAND, TARGETS, Target

ALL = TARGETS | BY_HAND
SECONDS_PER_INPUT = 30.0
START_SECONDS = 60.0
POLL_SECONDS = 0.2

_HEAD = struct.Struct("=QQ")
"""In the memory shared with the trying process: how many inputs were begun, and the length of the last."""


@dataclass
class Finds:
    """What a target has come to."""

    inputs: int = 0
    seconds: float = 0.0
    crashes: list[Path] = field(default_factory=list)


def fuzz(name: str, seconds: float, seed: int, out: Path, *, most: int = 10) -> Finds:
    """Tries mutated inputs of one target for so long, or until `most` have killed it. `out` gets those."""
    finds, begun = Finds(), time.monotonic()
    while (left := seconds - (time.monotonic() - begun)) > 0 and len(finds.crashes) < most:
        tried, cause, data = _one_process(name, left, seed + finds.inputs)
        finds.inputs += tried
        if cause:
            out.mkdir(parents=True, exist_ok=True)
            finds.crashes.append(out / f"{name}-{cause}-{seed}-{finds.inputs}")
            finds.crashes[-1].write_bytes(data)
    finds.seconds = time.monotonic() - begun
    return finds


def _one_process(name: str, seconds: float, seed: int) -> tuple[int, str, bytes]:
    """How many inputs were tried, and the cause and input that ended the process early; an empty cause at the time."""
    command = [sys.executable, __file__, name, "--seed", str(seed), "--seconds", str(seconds)]
    with _shared() as (descriptor, memory), tempfile.TemporaryFile() as complaints:
        with subprocess.Popen(
            [*command, "--child", str(descriptor)], pass_fds=[descriptor], stderr=complaints
        ) as child:
            cause = _watched(child, memory)
        if not cause and child.returncode:
            cause = f"signal{-child.returncode}" if child.returncode < 0 else "exception"
            complaints.seek(0)
            print(complaints.read().decode("utf-8", "replace")[-2000:], file=sys.stderr)
        count, length = _HEAD.unpack_from(memory)
        return count, cause, memory[_HEAD.size : _HEAD.size + length]


@contextlib.contextmanager
def _shared() -> Iterator[tuple[int, mmap.mmap]]:
    """Memory that the trying process writes each input into before it tries it."""
    descriptor = os.memfd_create("fuzz")
    os.ftruncate(descriptor, _HEAD.size + LARGEST_BYTES)
    try:
        with mmap.mmap(descriptor, _HEAD.size + LARGEST_BYTES) as memory:
            yield descriptor, memory
    finally:
        os.close(descriptor)


def _watched(child: subprocess.Popen[bytes], memory: mmap.mmap) -> str:
    """Waits for the process; "hang" when it had to be killed because one input took too long."""
    seen, since = 0, time.monotonic()
    while child.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(POLL_SECONDS)
        count = _HEAD.unpack_from(memory)[0]
        if count != seen:
            seen, since = count, time.monotonic()
        elif time.monotonic() - since > (SECONDS_PER_INPUT if count else START_SECONDS):
            child.kill()
            child.wait()
            return "hang"
    return ""


def _child(target: Target, descriptor: int, seconds: float, seed: int) -> None:
    """The trying process."""
    os.environ["OPENCV_LOG_LEVEL"] = "SILENT"
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"
    rng, seeds = random.Random(seed), target.seeds()
    for data in seeds:
        target.trial(data)  # also imports everything before memory is limited
    resource.setrlimit(resource.RLIMIT_AS, (target.address_space, target.address_space))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    until = time.monotonic() + seconds
    with mmap.mmap(descriptor, _HEAD.size + LARGEST_BYTES) as memory:
        count = 0
        while time.monotonic() < until:
            data = target.mutate(rng.choice(seeds), rng, seeds)[:LARGEST_BYTES]
            count += 1
            memory[_HEAD.size : _HEAD.size + len(data)] = data
            _HEAD.pack_into(memory, 0, count, len(data))
            target.trial(data)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="+", choices=[*ALL, "all"])
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=None, help="another run with the same seed tries the same inputs")
    parser.add_argument("--out", type=Path, default=Path("fuzz-finds"), help="where inputs go that kill a target")
    parser.add_argument("--most", type=int, default=10, help="give a target up after so many finds")
    parser.add_argument("--try", dest="file", type=Path)
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        return _child(ALL[options.targets[0]], options.child, options.seconds, options.seed)
    if options.file is not None:
        return ALL[options.targets[0]].trial(options.file.read_bytes())
    seed = int(time.time()) if options.seed is None else options.seed
    found = 0
    for name in list(TARGETS) if "all" in options.targets else options.targets:
        finds = fuzz(name, 60 * options.minutes, seed, options.out, most=options.most)
        found += len(finds.crashes)
        minutes, killers = finds.seconds / 60, len(finds.crashes)
        print(f"{name:<16} {finds.inputs:>12,} inputs {minutes:6.1f} min {killers:>4} finds", flush=True)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
