"""A daemon's desk with a real gallery and a real socket, whose turns a thread makes: for what clients ask."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from facelatch.adapters import fakes
from facelatch.adapters.system.clock import MonotonicClock
from facelatch.api.checks import Checks
from facelatch.api.hours import house
from facelatch.api.intake import intake
from facelatch.app import build
from facelatch.app.desk import Desk
from facelatch.app.health import HealthWatch
from facelatch.config.file import Config, parse
from facelatch.control.client import ControlClient
from facelatch.control.server import ControlServer
from facelatch.controller.situation import EnrolmentView
from facelatch.controller.state import Command
from facelatch.gallery.store import GalleryStore
from facelatch.line.admission import Judge
from facelatch.line.pipeline import Line
from facelatch.line.search import Pace
from facelatch.sharing.membership import Membership
from facelatch.values.health import Reading
from facelatch.values.observations import Thresholds
from facelatch.values.pictures import Image, Pose
from facelatch.values.records import NewPerson, Reference

sys.path.insert(0, str(Path(__file__).parent))  # for what tests share: site_tables, sightings

ANNA, BEN, STRANGER = (200, 90, 60), (60, 200, 90), (60, 110, 190)


def crop(colour: tuple[int, int, int]) -> Image:
    """The fake verifier takes the colour for the person."""
    return np.full((112, 112, 3), colour, np.uint8)


def fake_line(verifier: fakes.FakeVerifier) -> Line:
    return Line(
        finder=fakes.FakeFinder(()),
        verifier=verifier,
        quality=Config().quality,
        thresholds=Thresholds(detection=0.5, verification=0.6, ambiguity_margin=0.2),
        similar_size_ratio=0.6,
        pace=Pace(busy_seconds=0.2, idle_seconds=1.0),
    )


def add(store: GalleryStore, name: str, colour: tuple[int, int, int], *, admin: bool = False, count: int = 2) -> None:
    verifier = fakes.FakeVerifier()
    one = Reference(crop(colour), verifier.embed(crop(colour)), Pose(0, 0, 0))
    store.add(NewPerson(name, admin, (one,) * count), verifier.model_sha256)


class Served:
    """Serves until `close`. `audit` has what it wrote, `commands` what it handed to the machines."""

    def __init__(
        self,
        folder: Path,
        control: dict[str, object] | None = None,
        fill: Callable[[GalleryStore], None] = lambda _store: None,
        sections: dict[str, object] | None = None,
        member: Membership | None = None,
        *,
        keys: Sequence[bytes] = (),
    ) -> None:
        """With `sections` of the configuration there is a ledger, too; with `member` it is a door of a fleet; with
        `keys` the gallery is sealed."""
        self.socket = folder / "control.sock"
        with_ledger = sections is not None
        sections = {
            **(sections or {}),
            "control": {"socket": str(self.socket), "group": "", **(control or {})},
            "storage": {"state_directory": str(folder / "state")},
        }
        self.config = parse(sections, origin="test")
        self.member = member
        self.audit, self.commands = fakes.FakeAudit(), list[Command]()
        self.ledger = build.build_ledger(self.config, self.audit) if with_ledger else None
        self.client = ControlClient(self.socket)
        self.longest_turn = 0.0
        well = {"item": "storage", "ok": True, "detail": "21 GB free", "hint": "", "warning": False}
        self.findings = [well, {**well, "item": "owners", "ok": False, "detail": "somebody", "hint": "chmod"}]
        self._over, self._ready = threading.Event(), threading.Event()
        self._loop = threading.Thread(target=self._serve, args=(folder / "state", fill, keys))
        self._loop.start()
        self._ready.wait(10)

    def _serve(self, folder: Path, fill: Callable[[GalleryStore], None], keys: Sequence[bytes]) -> None:
        verifier, clock = fakes.FakeVerifier(), MonotonicClock()
        with GalleryStore.open(folder, keys) as store:
            fill(store)
            judge = Judge(fake_line(verifier), 0.25)
            if self.ledger is not None:
                self.ledger.start()
            audit = self.ledger or self.audit
            desk = Desk(
                store=store,
                judge=judge,
                audit=audit,
                clock=clock,
                config=self.config,
                ledger=self.ledger,
                member=self.member,
            )
            self.desk = desk
            checks = Checks(lambda: list(self.findings), clock.now)
            asked = intake(self.config.control, house(self.config, member=self.member), checks)
            server = ControlServer(self.socket, "", asked)
            health = HealthWatch(Reading, self.config.health, self.audit, clock)

            def status() -> dict[str, object]:
                lockout = {"refusals": 0, "seconds": 0.0}
                site = {"mode": "normal", "mode_seconds": None, "door": "shut", "alarm": False, "fire": False}
                site |= {"tamper": False}
                site |= {"unstable": [], "camera": "seeing"}
                told: dict[str, object] = {"door": "locked", "people": len(desk.gallery.people), "model": "a" * 12}
                told |= {"lockout": lockout, "still_faces": 0, "site": site, "liveness": "off"}
                told["seal"] = store.seal.words
                told |= {"health": health.view()}
                told["hours"] = {"clock": "not needed", "readers_lost": []}
                return told

            self._ready.set()
            try:
                while not self._over.wait(0.001):
                    began = clock.now()
                    view = EnrolmentView(state="idle", kept=0, wanted=8)
                    self.commands += desk.serve(server, view, status)
                    self.longest_turn = max(self.longest_turn, clock.now() - began)
            finally:
                server.close()
                health.close()
                desk.close()
                if self.ledger is not None:
                    self.ledger.close()

    def close(self) -> None:
        self._over.set()
        self._loop.join(10)

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Starts a desk: `served(control=None, fill=None, folder=None, sections=None, member=None, keys=())`; it is ended
    after."""
    running: list[Served] = []

    def start(
        control: dict[str, object] | None = None,
        fill: Callable[[GalleryStore], None] | None = None,
        folder: Path | None = None,
        sections: dict[str, object] | None = None,
        member: Membership | None = None,
        *,
        keys: Sequence[bytes] = (),
    ) -> Served:
        def anna_and_ben(store: GalleryStore) -> None:
            add(store, "Anna", ANNA, admin=True)
            add(store, "Ben", BEN)

        running.append(Served(folder or tmp_path, control, fill or anna_and_ben, sections, member, keys=keys))
        return running[-1]

    yield start
    for one in running:
        one.close()
