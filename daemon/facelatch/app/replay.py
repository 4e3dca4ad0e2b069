"""The same loop on recorded frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from facelatch.app import loop
from facelatch.app.build import build_line, fake_pins
from facelatch.app.build_entrance import build_entrance
from facelatch.app.capture import EachFrame
from facelatch.app.world import World
from facelatch.audit.events import Event
from facelatch.config.file import Config
from facelatch.decoder.files import LeftOut
from facelatch.gallery.export import StoredPerson
from facelatch.gallery.store import GalleryStore


def replay(
    config: Config,
    source: Path,
    people: Iterable[StoredPerson],
    *,
    pace: float | None,
    watch: Callable[[loop.Turn], None],
    skipped: Callable[[LeftOut], object] = lambda _file: None,
) -> list[Event]:
    """The same loop on recorded frames with fake pins and a virtual clock; returns the audit events.

    `people` are enrolled in a gallery that is thrown away, so nothing it does is kept.
    `pace` is the speed relative to the recording, None as fast as possible. `skipped` is told of each picture that
    cannot be read.
    """
    from facelatch.adapters import fakes
    from facelatch.adapters.cameras.files import FilesCamera
    from facelatch.adapters.system.systemd import SystemdService

    clock, audit = fakes.FakeClock(), fakes.FakeAudit()
    line = build_line(config)
    recorded = config.camera.model_copy(update={"source": "files", "device": str(source)})
    camera = FilesCamera(recorded, clock, skipped=skipped)
    lock, indicator, buttons = fake_pins(clock)
    store = GalleryStore.in_memory()
    store.restore(people)
    rehearsed = config.model_copy(update={"schedule": config.schedule.model_copy(update={"clock": "assumed"})})
    world = World(
        clock=clock,
        frames=EachFrame(camera, clock, pace=pace),
        line=line,
        store=store,
        lock=lock,
        indicator=indicator,
        buttons=buttons,
        audit=audit,
        service=SystemdService(None),
        entrance=build_entrance(rehearsed, store, clock, audit, readers=False),
    )
    loop.run(world, config, watch=watch)
    return audit.events
