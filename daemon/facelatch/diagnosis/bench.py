"""What a frame costs on this machine, stage by stage, and what it costs a peer in the same run."""

from __future__ import annotations

import importlib.util
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np

from facelatch.config.file import Config
from facelatch.errors import InputError
from facelatch.line import pipeline, track
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

GALLERY_SIZES = (10, 1_000, 10_000)
IDLE_FRAMES = 150


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    stage: str
    median_ms: float
    p95_ms: float


def timed(stage: str, call: Callable[[], object], repeats: int) -> Row:
    """Median and 95th percentile of `repeats` calls, after a few that do not count."""
    for _ in range(3):
        call()
    samples = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        samples.append((time.perf_counter() - begin) * 1e3)
    return Row(stage, statistics.median(samples), float(np.percentile(samples, 95)))


def pictures(config: Config, seed: int = 0) -> tuple[Image, Image]:
    """A large picture and its reduced copy; the stages cost the same whatever is on them."""
    camera = config.camera
    noise = np.random.default_rng(seed)
    large = noise.integers(0, 256, (camera.height_px, camera.width_px, 3), dtype=np.uint8)
    small = noise.integers(0, 256, (camera.search_height_px, camera.search_width_px, 3), dtype=np.uint8)
    return large, small


def stages(config: Config, line: Line, repeats: int) -> Iterator[Row]:
    """The stages of one judged frame, then the whole of it: find, close-up, align, embed, compare; and with a track."""
    image, search = pictures(config)
    landmarks = (TEMPLATE * 2 + np.array([image.shape[1] / 3, image.shape[0] / 3])).astype(np.float32)
    region = Box(image.shape[1] / 3, image.shape[0] / 3, 240.0, 180.0)
    crop = np.random.default_rng(1).integers(0, 256, (CROP_SIZE_PX, CROP_SIZE_PX, 3), dtype=np.uint8)
    probe = line.verifier.embed(crop)
    galleries = {size: np.random.default_rng(2).normal(size=(size, probe.size)) for size in GALLERY_SIZES}
    yield timed("find, whole picture", lambda: line.finder.find(search), repeats)
    yield timed("find, close up", lambda: line.finder.find_near(image, region), repeats)
    face = Face(region, landmarks, 0.9)
    yield timed("which way up, once a second", lambda: turn_of(line.finder, image, face), repeats)
    yield timed("align", lambda: align(image, landmarks), repeats)
    yield timed("embed", lambda: line.verifier.embed(crop), repeats)
    if line.liveness is not None:
        network = line.liveness.network
        yield timed("alive?, of whoever matches", lambda: network.look(image, region), repeats)
    for size, gallery in galleries.items():
        references = gallery.astype(np.float32)
        yield timed(f"compare, {size} references", _comparison(line, probe, references), repeats)
    references = galleries[GALLERY_SIZES[0]].astype(np.float32)

    def whole() -> None:
        line.finder.find(search)
        line.finder.find_near(image, region)
        aligned = align(image, landmarks)
        assert aligned is not None
        line.verifier.compare(line.verifier.embed(aligned), references)

    yield timed("whole frame", whole, repeats)
    followed = _followed(line, probe, references)

    def tracked() -> None:
        whole()
        followed()

    yield timed("whole frame, on a track", tracked, repeats)


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


def _comparison(line: Line, probe: Any, references: Any) -> Callable[[], object]:
    return lambda: line.verifier.compare(probe, references)


PEER_FILES = ("*yunet*.onnx", "mobilefacenet.param", "mobilefacenet.bin")


def require_peer(folder: Path) -> None:
    """Raises InputError when `folder` lacks a file of the peer's, or the library that runs it is not installed."""
    lacking = [pattern for pattern in PEER_FILES if not any(folder.glob(pattern))]
    if lacking:
        raise InputError(f"{folder}: no {', no '.join(lacking)}", hint="`facelatch bench --help` says what is needed")
    if importlib.util.find_spec("ncnn") is None:
        pip = f"{quote(sys.executable)} -m pip install ncnn"
        raise InputError("--peer needs ncnn, which is not installed here", hint=f"`{pip}`")


def peer_stages(config: Config, folder: Path, repeats: int) -> Iterator[Row]:
    """YuNet and MobileFaceNet (ncnn) from `folder`, one thread each, on pictures of the same size.

    Raises what `require_peer` raises.
    """
    require_peer(folder)
    import cv2
    import ncnn

    image, search = pictures(config)
    cv2.setNumThreads(1)
    (onnx,) = sorted(folder.glob(PEER_FILES[0]))[:1]
    yunet = cv2.FaceDetectorYN.create(str(onnx), "", search.shape[1::-1], 0.6)
    net = ncnn.Net()
    net.opt.num_threads = 1
    net.load_param(str(folder / "mobilefacenet.param"))
    net.load_model(str(folder / "mobilefacenet.bin"))
    crop = np.ascontiguousarray(image[:CROP_SIZE_PX, :CROP_SIZE_PX])
    landmarks = (TEMPLATE * 2 + 50).astype(np.float32)
    references = np.random.default_rng(2).normal(size=(GALLERY_SIZES[0], 128)).astype(np.float32)

    def embed(picture: Image) -> Any:
        extractor = net.create_extractor()
        extractor.input("data", ncnn.Mat.from_pixels(picture, ncnn.Mat.PixelType.PIXEL_RGB, 112, 112))
        return np.array(extractor.extract("fc1")[1])

    def whole() -> None:
        yunet.detect(search)
        crop = align(image, landmarks)
        assert crop is not None
        references @ embed(crop)

    yield timed("find, whole picture", lambda: yunet.detect(search), repeats)
    yield timed("embed", lambda: embed(crop), repeats)
    yield timed("whole frame", whole, repeats)


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
