"""How a door fares with 5,000 people: times, the longest turn without an answer, and memory, of each thing one can ask.

    python tests/scenarios/large_gallery_report.py [PEOPLE] [DIRECTORY]

The desk, gallery, socket and client are the real ones; the crops are noise of a real crop's size and the verifier is
one that costs nothing, so what is measured is everything but the network. DIRECTORY says on which disk.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from facelatch.adapters import fakes
from facelatch.adapters.system.clock import MonotonicClock
from facelatch.api.intake import intake
from facelatch.app.desk import Desk
from facelatch.cli import asking
from facelatch.config.file import Config, parse
from facelatch.control.server import ControlServer
from facelatch.controller.situation import EnrolmentView
from facelatch.gallery.export import StoredPerson, StoredReference, read_export, write_export
from facelatch.gallery.store import GalleryStore
from facelatch.line.admission import Judge
from facelatch.line.pipeline import Line
from facelatch.line.search import Pace
from facelatch.values.observations import Thresholds
from facelatch.values.pictures import Image, Pose
from facelatch.vision.png import encode_png

REFERENCES, DIMENSIONS = 8, 384


class Verifier(fakes.FakeVerifier):
    """As long embeddings as the real one's; a face is the noise in its first rows."""

    embedding_size = DIMENSIONS

    def embed(self, crop: Image) -> np.ndarray:
        """The first pixels (D,), of mean 0 and deviation 1."""
        return ((crop.reshape(-1)[:DIMENSIONS].astype(np.float32)) - 92) / 55

    def compare(self, probe: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        """Similarities (N,)."""
        if not len(gallery):
            return np.zeros(0, np.float32)
        return np.exp(5 * (gallery @ probe - probe @ probe) / len(probe)).astype(np.float32)


def face(number: int, picture: int = 0) -> Image:
    """Noise that a PNG takes about 21 kB for, as a real crop does; the pictures of a person differ at the bottom."""
    crop = (np.random.default_rng(number).integers(0, 24, (112, 112, 3)) * 8).astype(np.uint8)
    crop[-20:] = np.random.default_rng(10_000_000 + number * REFERENCES + picture).integers(0, 24, (20, 112, 3)) * 8
    return crop


def people(count: int) -> Iterator[StoredPerson]:
    """Different people, one after the other."""
    for number in range(count):
        references = tuple(
            StoredReference(encode_png(face(number, one)), Pose(0.0, 0.0, 0.0)) for one in range(REFERENCES)
        )
        yield StoredPerson(f"person {number:05}", False, references)


def serve(config: Config, pipe: Connection) -> None:
    """The daemon's process: turns as often as a camera of 15 frames a second would make them."""
    verifier, clock, began = Verifier(), MonotonicClock(), time.monotonic()
    line = Line(
        finder=fakes.FakeFinder(()),
        verifier=verifier,
        quality=config.quality,
        thresholds=Thresholds(detection=0.5, verification=0.6, ambiguity_margin=0.2),
        similar_size_ratio=0.6,
        pace=Pace(busy_seconds=0.2, idle_seconds=1.0),
    )
    base = rss()
    store = GalleryStore.open(Path(config.storage.state_directory))
    desk = Desk(store=store, judge=Judge(line, 0.25), audit=fakes.FakeAudit(), clock=clock, config=config)
    server = ControlServer(Path(config.control.socket), "", intake(config.control))
    pipe.send((time.monotonic() - began, rss() - base))
    longest, busiest, view = 0.0, 0.0, EnrolmentView(state="idle", kept=0, wanted=8)
    while True:
        turn, work = time.monotonic(), time.thread_time()
        desk.serve(server, view, lambda: {"people": len(desk.gallery.people), "wiping": store.wipe_due})
        longest = max(longest, time.monotonic() - turn)
        busiest = max(busiest, time.thread_time() - work)
        if pipe.poll(max(0.0, 1 / 15 - (time.monotonic() - turn))):
            if pipe.recv() == "stop":
                break
            pipe.send((longest, busiest, rss() - base, peak() - base))
            longest = busiest = 0.0
    server.close()
    store.close()


def rss() -> float:
    """Resident memory without shared memory files, MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    return 0.0


def peak() -> float:
    """The most it ever was, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measures and prints a Markdown table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as name:
        folder = Path(name)
        config = parse(
            {
                "control": {"socket": str(folder / "s"), "group": ""},
                "storage": {"state_directory": str(folder / "state")},
            },
            origin="report",
        )
        file = folder / "people.facelatch"
        with file.open("wb") as stream:
            write_export(stream, people(count))
        print(f"{count} people, {count * REFERENCES} images, export file {file.stat().st_size / 1e6:.0f} MB\n")
        print("| | seconds | longest turn, s | of it computing | memory over the base, MB | the most, MB |")
        print("|---|---|---|---|---|---|")
        measure(config, file, folder)


def measure(config: Config, file: Path, folder: Path) -> None:
    """Each thing in turn, as a client does it."""
    daemon, pipe = started(config, "start, empty")

    def row(what: str, work: Callable[[], object]) -> None:
        began = time.monotonic()
        work()
        seconds = time.monotonic() - began
        pipe.send("report")
        longest, busiest, now, most = pipe.recv()
        print(f"| {what} | {seconds:.1f} | {longest:.2f} | {busiest:.2f} | {now:.0f} | {most:.0f} |", flush=True)

    def import_file() -> None:
        with file.open("rb") as stream:
            asking.import_all(config, read_export(stream), {}, lambda _count: None)

    def export_file() -> None:
        with (folder / "again").open("wb") as stream:
            write_export(stream, asking.exported(config))

    def wiped() -> None:
        while asking.ask(config, {"action": "status"})["wiping"]:
            time.sleep(0.5)

    row("import", import_file)
    row("list", lambda: asking.listed(config))
    judge = asking.judging(config, None)  # type: ignore[arg-type]  (only used without a daemon)
    row("judge", lambda: judge(face(7)))
    row("rename", lambda: asking.ask(config, {"action": "rename", "name": "person 00004", "new_name": "x"}))
    row("export", export_file)
    assert (folder / "again").stat().st_size > 0.9 * file.stat().st_size
    (folder / "again").unlink()
    row("remove one", lambda: asking.ask(config, {"action": "remove", "name": "person 00003"}))
    row("until its traces are overwritten", wiped)
    pipe.send("stop")
    daemon.join()
    daemon, pipe = started(config, "start")
    pipe.send("stop")
    daemon.join()
    print(f"\nclient's own memory at most {peak():.0f} MB; {os.cpu_count()} cores, {threading.active_count()} thread")


def started(config: Config, what: str) -> tuple[multiprocessing.Process, Connection]:
    """A daemon that is ready."""
    here, there = multiprocessing.Pipe()
    daemon = multiprocessing.get_context("spawn").Process(target=serve, args=(config, there))
    daemon.start()
    seconds, memory = here.recv()
    print(f"| {what} | {seconds:.1f} | | | {memory:.0f} | |", flush=True)
    return daemon, here  # type: ignore[return-value]


if __name__ == "__main__":
    main()
