"""How long the loop's turns take with many people enrolled: one as long as the lock's lease would relock the door."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from facelatch.adapters import fakes
from facelatch.api.intake import admitted
from facelatch.api.rights import ALL, Asker
from facelatch.app import loop
from facelatch.app.build import fake_pins
from facelatch.app.capture import EachFrame
from facelatch.app.world import World
from facelatch.config.file import Config
from facelatch.gallery.export import StoredPerson, StoredReference
from facelatch.gallery.store import GalleryStore
from facelatch.line.pipeline import Line
from facelatch.values.pictures import Box, Face, Frame, Image, Pose
from facelatch.vision.align import CROP_SIZE_PX, TEMPLATE
from facelatch.vision.png import encode_png

FRAMES, CHANGE_AT = 40, 20
NAME = "person-{}"


@dataclass(frozen=True, slots=True)
class Turns:
    """The longest turn that only looks, and the one in which somebody changed the gallery."""

    people: int
    longest_ms: float
    changing_ms: float


class _FaceAlways:
    """The real finder's work, and a face in every picture."""

    def __init__(self, finder: Any, face: Face) -> None:
        self._finder, self._face = finder, face

    def find(self, image: Image) -> Sequence[Face]:
        self._finder.find(image)
        return (self._face,)

    def find_near(self, image: Image, region: Box) -> Sequence[Face]:
        self._finder.find_near(image, region)
        return (self._face,)


class _OneChange:
    """A client that has one request, in the middle."""

    asked = admitted(
        {"action": "admin", "name": NAME.format(0), "admin": True}, Asker(uid=0, pid=0, rights=ALL)
    )

    taken = True

    def __init__(self) -> None:
        self._calls = 0

    def requests(self) -> Sequence[_OneChange]:
        self._calls += 1
        return (self,) if self._calls == CHANGE_AT else ()

    def reply(self, answer: dict[str, Any], bulk: bytes | None = None) -> None: ...

    def close(self) -> None: ...


def measured(config: Config, line: Line, people: int) -> Turns:
    """Runs the real loop on made pictures, with so many people of `enrolment.references` images each."""
    size = (config.camera.height_px, config.camera.width_px, 3)
    small = (config.camera.search_height_px, config.camera.search_width_px, 3)
    noise = np.random.default_rng(0)
    pictures = [(noise.integers(0, 256, size, np.uint8), noise.integers(0, 256, small, np.uint8)) for _ in range(4)]
    frames = [Frame(*pictures[number % 4], number / config.camera.rate_fps, number) for number in range(FRAMES)]
    landmarks = (TEMPLATE + np.array([size[1] / 3, size[0] / 3])).astype(np.float32)
    face = Face(Box(size[1] / 3, size[0] / 3, CROP_SIZE_PX, CROP_SIZE_PX), landmarks, 0.99)
    clock, durations = fakes.FakeClock(), [time.perf_counter()]
    lock, indicator, buttons = fake_pins(clock)
    with tempfile.TemporaryDirectory(prefix="facelatch-bench-") as folder:
        store = GalleryStore.open(Path(folder) / "state")
        _fill(store, line, people, config.enrolment.references)
        world = World(
            clock=clock,
            frames=EachFrame(fakes.FakeCamera([*frames, None]), clock),
            line=replace(line, finder=_FaceAlways(line.finder, face)),
            store=store,
            lock=lock,
            indicator=indicator,
            buttons=buttons,
            audit=fakes.FakeAudit(),
            service=fakes.FakeServiceManager(),
            control=_OneChange(),
        )
        loop.run(world, config, watch=lambda _turn: durations.append(time.perf_counter()))
    turns = np.diff(durations)[1:FRAMES] * 1e3  # the first one has the start in it
    changing = CHANGE_AT - 2
    return Turns(
        people=people, longest_ms=float(np.delete(turns, changing).max()), changing_ms=float(turns[changing])
    )


def _fill(store: GalleryStore, line: Line, people: int, references: int) -> None:
    """Everybody has the same picture, but vectors of their own."""
    picture = StoredReference(encode_png(np.zeros((CROP_SIZE_PX, CROP_SIZE_PX, 3), np.uint8)), Pose(0.0, 0.0, 0.0))
    folk = (StoredPerson(NAME.format(number), False, (picture,) * references) for number in range(people))
    store.restore(folk)
    noise = np.random.default_rng(1)
    length = line.verifier.embed(np.zeros((CROP_SIZE_PX, CROP_SIZE_PX, 3), np.uint8)).size
    store.load(line.verifier.model_sha256, lambda _crop: noise.normal(size=length).astype(np.float32))
