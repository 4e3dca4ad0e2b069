"""What a frame costs on this machine, stage by stage."""

from __future__ import annotations

import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from facelatch.config.file import Config
from facelatch.line import pipeline, track
from facelatch.line.liveness import Check
from facelatch.line.match import match
from facelatch.line.orientation import turn_of
from facelatch.line.pipeline import Line
from facelatch.line.search import Search
from facelatch.line.track import Tracks
from facelatch.values.observations import Judged
from facelatch.values.pictures import Box, Face, Frame, Image, Pose
from facelatch.values.records import Gallery, Person
from facelatch.vision.align import CROP_SIZE_PX, TEMPLATE, align
from facelatch.vision.fusion import MOST_PICTURES
from facelatch.vision.parallax import nose_parallax

Call = Callable[[], object]

GALLERY_SIZES = (10, 1_000, 10_000)
IDLE_FRAMES = 150
WARM_UP = 3

FIND, EMBED, WHOLE = "find, whole picture", "embed", "whole frame"
"""The stages that the peer has as well."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    stage: str
    median_ms: float
    p95_ms: float


def timings(call: Call, repeats: int) -> list[float]:
    """What each of `repeats` calls takes, ms, after a few that do not count."""
    for _ in range(WARM_UP):
        call()
    samples = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        samples.append((time.perf_counter() - begin) * 1e3)
    return samples


def row(stage: str, samples: Sequence[float]) -> Row:
    """Median and 95th percentile of a stage's timings, ms."""
    return Row(stage, statistics.median(samples), float(np.percentile(samples, 95)))


def pictures(config: Config, seed: int = 0) -> tuple[Image, Image]:
    """A large picture and its reduced copy; the stages cost the same whatever is on them."""
    camera = config.camera
    noise = np.random.default_rng(seed)
    large = noise.integers(0, 256, (camera.height_px, camera.width_px, 3), dtype=np.uint8)
    small = noise.integers(0, 256, (camera.search_height_px, camera.search_width_px, 3), dtype=np.uint8)
    return large, small


def stages(config: Config, line: Line) -> dict[str, Call]:
    """What there is to time, by name: the stages of a judged frame (find, close-up, align, embed, compare), then the
    whole of it, without and with a track."""
    image, search = pictures(config)
    landmarks = (TEMPLATE * 2 + np.array([image.shape[1] / 3, image.shape[0] / 3])).astype(np.float32)
    region = Box(image.shape[1] / 3, image.shape[0] / 3, 240.0, 180.0)
    crop = np.random.default_rng(1).integers(0, 256, (CROP_SIZE_PX, CROP_SIZE_PX, 3), dtype=np.uint8)
    probe = line.verifier.embed(crop)
    galleries = {
        size: np.random.default_rng(2).normal(size=(size, probe.size)).astype(np.float32) for size in GALLERY_SIZES
    }
    few = galleries[GALLERY_SIZES[0]]
    face = Face(region, landmarks, 0.9)

    def whole() -> None:
        line.finder.find(search)
        line.finder.find_near(image, region)
        aligned = align(image, landmarks)
        assert aligned is not None
        line.verifier.compare(line.verifier.embed(aligned), few)

    followed = _followed(line, probe, few)

    def tracked() -> None:
        whole()
        followed()

    calls: dict[str, Call] = {
        FIND: lambda: line.finder.find(search),
        "find, close up": lambda: line.finder.find_near(image, region),
        "which way up, once a second": lambda: turn_of(line.finder, image, face),
        "align": lambda: align(image, landmarks),
        EMBED: lambda: line.verifier.embed(crop),
    }
    if line.liveness is not None:
        network = line.liveness.network
        calls["alive?, of whoever matches"] = lambda: network.look(image, region)
    for size, references in galleries.items():
        calls[f"compare, {size} references"] = partial(line.verifier.compare, probe, references)
    calls |= {WHOLE: whole, "whole frame, on a track": tracked}
    return calls | ({"the same, of whoever matches": _asked(line.liveness, tracked)} if line.liveness else {})


def _asked(check: Check, tracked: Call) -> Call:
    """What is asked besides of a face that matches: whether it is alive, and how far it is turned."""
    image, region = np.zeros((480, 640, 3), np.uint8), Box(200.0, 100.0, 160.0, 200.0)

    def alive() -> None:
        tracked()
        check.network.look(image, region)
        nose_parallax(TEMPLATE.astype(np.float32))

    return alive


def _followed(line: Line, probe: Any, references: Any) -> Callable[[], object]:
    """What a track of as many pictures as count adds to a frame."""
    people = {number: Person(number, str(number)) for number in range(len(references))}
    gallery = Gallery(people=people, owners=tuple(people), embeddings=references)
    similarities = line.verifier.compare(probe, references)
    seen = Judged(
        frame=0,
        track=0,
        frames=1,
        seconds=0.0,
        face=Face(Box(0.0, 0.0, 112.0, 112.0), TEMPLATE.astype(np.float32), 1.0),
        pose=Pose(0.0, 0.0, 0.0),
        verdict=match(similarities, gallery, line.thresholds),
        crop=np.zeros((CROP_SIZE_PX, CROP_SIZE_PX, 3), np.uint8),
        embedding=probe,
        similarities=similarities,
    )
    tracks = Tracks()
    for _ in range(MOST_PICTURES):
        _, tracks = track.follow(line, tracks, seen, 0.0, gallery)
    return lambda: track.follow(line, tracks, seen, 0.0, gallery)


def idle_cpu_share(config: Config, line: Line) -> float:
    """CPU seconds a second of camera costs while nobody is there: a still scene with sensor noise."""
    image, search = pictures(config)
    noise = np.random.default_rng(3)
    frames: list[tuple[Image, Image]] = []
    for _ in range(8):
        still = noise.integers(87, 94, image.shape, dtype=np.uint8)
        frames.append((still, still[: search.shape[0], : search.shape[1]]))
    state = Search()
    begin = time.process_time()
    for number in range(IDLE_FRAMES):
        picture, reduced = frames[number % len(frames)]
        frame = Frame(picture, reduced, number / config.camera.rate_fps, number)
        _, state, _ = pipeline.look(line, frame, state)
    spent = time.process_time() - begin
    return spent / (IDLE_FRAMES / config.camera.rate_fps)


def resident_mb() -> float:
    """Peak resident memory of this process, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def import_seconds() -> float:
    """A fresh interpreter importing the command line, less a bare one's start."""

    def run(code: str) -> float:
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - begin

    bare = statistics.median(run("pass") for _ in range(5))
    return statistics.median(run("import facelatch.cli.root") for _ in range(5)) - bare


def ready_seconds(config: Config, timeout_seconds: float = 60.0) -> float | None:
    """From starting `facelatch run` on recorded frames with fake pins to its READY=1; None if that never came."""
    import cv2

    with tempfile.TemporaryDirectory(prefix="facelatch-bench-") as name:
        folder = Path(name)
        (folder / "frames").mkdir()
        for number in range(3):
            picture, _ = pictures(config, seed=number)
            cv2.imwrite(str(folder / "frames" / f"{number}.png"), picture)
        (folder / "facelatch.toml").write_text(
            f'[camera]\nsource = "files"\ndevice = "{folder / "frames"}"\n'
            f'[finder]\nkind = "{config.finder.kind}"\nmodel = "{config.finder.model}"\n'
            f'[model]\npath = "{config.model.path}"\n'
            f'[storage]\nstate_directory = "{folder / "state"}"\n'
            f'[control]\nsocket = "{folder / "control.sock"}"\ngroup = ""\n'
        )
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(folder / "notify.sock"))
            notify.settimeout(timeout_seconds)
            begin = time.perf_counter()
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "facelatch",
                    "--config",
                    str(folder / "facelatch.toml"),
                    "run",
                    "--dry-run",
                ],
                env={**os.environ, "NOTIFY_SOCKET": str(folder / "notify.sock")},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                while b"READY=1" not in notify.recv(4096):
                    pass
                return time.perf_counter() - begin
            except TimeoutError:
                return None
            finally:
                process.terminate()
                process.wait(10)
