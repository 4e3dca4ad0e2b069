"""An hour of visits to the door in minutes: everything is real but the time, the pins and who comes.

Loop, line, finder, model, gallery, control socket, LED and button: as the daemon builds them. Each frame moves the
clock on. People come one after the other, and while they do, somebody keeps asking on the control socket.

    python tests/scenarios/soak.py OUT.json [MINUTES]     writes what was seen, for the judges below
"""

from __future__ import annotations

import ctypes
import gc
import itertools
import json
import socket
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import demo_clip
import numpy as np
from demo_bust import LOOKS, Bust, load_face, make_bust
from gpiozero.pins.mock import MockFactory

from facelatch.adapters.fakes import FakeCamera, FakeClock, FakeLock
from facelatch.adapters.pins.indicator import GpioIndicator
from facelatch.adapters.pins.inputs import GpioButtons
from facelatch.adapters.system.systemd import SystemdService
from facelatch.app import build, loop
from facelatch.app.capture import EachFrame
from facelatch.app.world import World
from facelatch.audit.events import Event, EventKind
from facelatch.config.file import Config, parse
from facelatch.control.client import ControlClient
from facelatch.errors import FacelatchError
from facelatch.gallery.store import GalleryStore
from facelatch.values.pictures import Frame, Image
from facelatch.vision.reduce import search_picture

RATE_FPS = demo_clip.RATE_FPS
PERSON, STRANGER = "nobody-5", "nobody-2"
GAP_SECONDS = 7.0
"""Between two visits: longer than silence, the pause after a refusal, and the cooling after a grant."""
SAMPLE_SECONDS = 20.0
TRIM = getattr(ctypes.CDLL(None), "malloc_trim", lambda _pad: None)
"""Of glibc."""
ORDER = ("person", "stranger", "person", "passer-by", "person", "two at once")
OUTCOMES = {EventKind.VISIT_GRANTED, EventKind.VISIT_REFUSED, EventKind.VISIT_ABANDONED}


@dataclass(frozen=True)
class Sample:
    """What the process holds at one moment."""

    at: float
    """Virtual seconds."""
    megabytes: float
    files: int
    threads: int


@dataclass(frozen=True)
class Visit:
    """Who was before the camera, from when to when; virtual seconds."""

    who: str
    begin: float
    end: float


@dataclass(frozen=True)
class Outcome:
    """How a visit ended, by the audit."""

    at: float
    kind: str
    person: int | None


@dataclass
class Record:
    """Everything that was seen."""

    visits: list[Visit] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    answers: int = 0
    """Of the control socket."""


# ---- The judges: each returns what is wrong in words; nothing when all is well


def judge_visits(visits: Sequence[Visit], outcomes: Sequence[Outcome]) -> list[str]:
    """Every visit has exactly one outcome, nobody but the person was granted, and each kind of outcome came up."""
    wrong = []
    ends = [*(visit.begin for visit in visits[1:]), float("inf")]
    for visit, end in zip(visits, ends, strict=True):
        of_this = [outcome for outcome in outcomes if visit.begin <= outcome.at < end]
        if len(of_this) != 1:
            told = [outcome.kind for outcome in of_this]
            wrong.append(f"{visit.who} at {visit.begin:.1f} s had {len(of_this)} outcomes: {told}")
        if visit.who != "person" and any(outcome.kind == EventKind.VISIT_GRANTED for outcome in of_this):
            wrong.append(f"{visit.who} at {visit.begin:.1f} s was let in")
    if stray := [outcome for outcome in outcomes if not visits or outcome.at < visits[0].begin]:
        wrong.append(f"{len(stray)} outcomes before anybody came")
    wrong += [f"never {kind}" for kind in OUTCOMES - {outcome.kind for outcome in outcomes}]
    return wrong


def growth_per_hour(samples: Sequence[Sample]) -> float:
    """The median slope between all pairs of samples, megabytes per virtual hour: one high reading changes nothing."""
    pairs = itertools.combinations(samples, 2)
    return statistics.median((b.megabytes - a.megabytes) / (b.at - a.at) for a, b in pairs) * 3600


def judge_memory(samples: Sequence[Sample], most_per_hour: float) -> list[str]:
    """Memory does not grow after the first quarter, in which caches and allocators fill."""
    growth = growth_per_hour(samples[len(samples) // 4 :])
    return [f"memory grows by {growth:.1f} MB in an hour, allowed are {most_per_hour}"] * (
        growth > most_per_hour
    )


def judge_handles(samples: Sequence[Sample]) -> list[str]:
    """Open files and threads come and go with clients, but their floor does not rise."""
    quarter = len(samples) // 4
    first, last = samples[quarter : 2 * quarter], samples[-quarter:]
    wrong = []
    for what in ("files", "threads"):
        before, after = (min(getattr(sample, what) for sample in part) for part in (first, last))
        if after > before:
            wrong.append(f"{what}: at least {before} early, at least {after} late")
    return wrong


# ---- The hour


def config(home: Path) -> Config:
    """As shipped but for the places, the camera's size, and a pause after a refusal that outlasts a visit."""
    return parse(
        {
            "camera": {"source": "files", "width_px": 640, "height_px": 480, "rate_fps": float(RATE_FPS)},
            "session": {"retry_seconds": 4.0},
            "gpio": {"pin_factory": "mock"},
            "storage": {"state_directory": str(home / "state")},
            "control": {"socket": str(home / "control.sock"), "group": ""},
        },
        origin="soak",
    )


class Stage:
    """Draws everybody once; then they come and go as often as wanted."""

    def __init__(self) -> None:
        random = np.random.default_rng(1)
        scene = demo_clip.porch(random)
        person, stranger = (make_bust(load_face(name), LOOKS[name]) for name in (PERSON, STRANGER))

        def turning(frames: int, *busts: tuple[Bust, float]) -> list[Image]:
            """Heads that turn to both sides, `busts` with how far each stands from the middle, pixels."""
            drawn = []
            for turn in np.linspace(0, 2 * np.pi, frames, endpoint=False):
                yaw, pitch = 22 * np.sin(turn), 5 * np.cos(turn)
                poses = [demo_clip.Pose(x_px=300 + by, face_px=170, yaw=yaw, pitch=pitch) for _, by in busts]
                people = [bust for bust, _ in busts]
                drawn.append(demo_clip.draw(scene, list(zip(people, poses, strict=True)), random))
            return drawn

        self.empty = turning(10)
        self.enrolling = turning(60, (person, 0.0))
        stranger_alone = turning(20, (stranger, 0.0))
        self.acts = {
            "person": self.enrolling[::3],
            "stranger": stranger_alone,
            "passer-by": stranger_alone[:5],
            "two at once": turning(12, (person, -150.0), (stranger, 150.0)),
        }


class Soak:
    """One run, and what came of it."""

    def __init__(self, home: Path, seconds: float) -> None:
        self.home, self.seconds, self.record = home, seconds, Record()
        self.config, self.clock, self.stage = config(home), FakeClock(), Stage()
        self.enrolled, self.over = threading.Event(), threading.Event()
        self.factory = MockFactory()
        self.sample_due = 0.0

    def run(self) -> Record:
        """The hour, with a client beside it."""
        client = threading.Thread(target=self._keep_asking, daemon=True)
        client.start()
        loop.run(self._world(), self.config, watch=self._watch)
        self.over.set()
        client.join(60)
        return self.record

    def write(self, event: Event) -> None:
        """The audit: takes note of outcomes."""
        if event.kind is EventKind.ENROLMENT_SAVED:
            self.enrolled.set()
        if event.kind in OUTCOMES and self.enrolled.is_set():
            person = event.fields.get("PERSON_ID")
            self.record.outcomes.append(Outcome(self.clock.now(), event.kind, person and int(person)))

    def _world(self) -> World:
        gpio, line = self.config.gpio, build.build_line(self.config)
        return World(
            clock=self.clock,
            frames=EachFrame(FakeCamera(self._frames()), self.clock),
            line=line,
            store=GalleryStore.open(Path(self.config.storage.state_directory)),
            lock=FakeLock(self.clock),
            indicator=GpioIndicator(gpio, factory=self.factory),
            buttons=GpioButtons(gpio, factory=self.factory, now=self.clock.now),
            audit=self,
            service=SystemdService(self._unread_socket()),
            control=build.build_control(self.config, None),
        )

    def _unread_socket(self) -> str:
        self.unread = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.unread.bind(str(self.home / "notify"))
        return str(self.home / "notify")

    def _frames(self) -> Iterator[Frame]:
        """The person turns the head until enrolled; then visits, with nobody before and after each."""
        for number, image in enumerate(self._pictures()):
            when = (number + 1) / RATE_FPS
            yield Frame(image, search_picture(image, self.config.camera), when, number)

    def _pictures(self) -> Iterator[Image]:
        enrolling = itertools.cycle(self.stage.enrolling)
        while not self.enrolled.is_set():
            yield next(enrolling)
        empty = itertools.cycle(self.stage.empty)
        pause = [next(empty) for _ in range(round(GAP_SECONDS * RATE_FPS))]
        yield from pause * 2  # the light says for some seconds that somebody was enrolled
        for who in itertools.cycle(ORDER):
            if self.clock.now() > self.seconds:
                return
            begin = self.clock.now()
            yield from self.stage.acts[who]
            self.record.visits.append(Visit(who, begin, self.clock.now()))
            yield from pause

    def _watch(self, turn: loop.Turn) -> None:
        if turn.now < self.sample_due:
            return
        self.sample_due = turn.now + SAMPLE_SECONDS
        for pin in self.factory.pins.values():
            pin.clear_states()  # the mock's own diary would be taken for a leak
        gc.collect()
        TRIM(0)  # freed memory the allocator keeps would hide a leak that fills it
        status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines())
        megabytes = int(status["VmRSS"].split()[0]) / 1024
        files = sum(1 for _ in Path("/proc/self/fd").iterdir())
        self.record.samples.append(Sample(turn.now, megabytes, files, int(status["Threads"])))

    def _keep_asking(self) -> None:
        """Enrols, then asks, renames and hangs up in the middle, until the hour is over."""
        path = Path(self.config.control.socket)
        client, names = ControlClient(path), itertools.cycle(["nina", "nick"])
        while not path.exists():
            self.over.wait(0.05)
        lease = None
        while not self.enrolled.is_set() and not self.over.is_set():
            # The door's clock may run faster than this client can renew its lease: then it begins anew.
            with suppress(FacelatchError):
                asked = {"action": "status", "lease": lease}
                if lease is None or client.ask(asked)["enrolment"]["state"] in ("idle", "failed"):
                    lease = client.ask({"action": "enroll", "name": "nick", "admin": False})["lease"]
        name = "nick"
        while not self.over.is_set():
            with suppress(FacelatchError):  # the daemon ends while it is asked
                client.ask({"action": "status"})
                new_name = next(names)
                client.ask({"action": "rename", "name": name, "new_name": new_name})
                name = new_name
                client.ask({"action": "list"})
                self.record.answers += 3
            with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as rude:
                rude.connect(str(path))
                rude.send(b'{"action": "sta')
            self.over.wait(0.2)


def main(out: Path, minutes: float) -> None:
    """Runs it, and writes what was seen."""
    with tempfile.TemporaryDirectory(prefix="facelatch-soak-") as home:
        record = Soak(Path(home), minutes * 60).run()
    out.write_text(json.dumps(asdict(record)), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 60.0)
