"""The composition root: configuration -> adapters -> loop. Nothing else builds adapters."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import numpy as np

from facelatch import loop
from facelatch.audit.events import Event, EventKind
from facelatch.capture import EachFrame, NewestFrame
from facelatch.config.file import Config
from facelatch.config.line import CameraConfig, FinderConfig, ModelConfig
from facelatch.config.shipped import shipped_file
from facelatch.errors import FacelatchError, ModelError
from facelatch.gallery.place import scratch_directory
from facelatch.gallery.store import GalleryStore
from facelatch.line.pipeline import Line
from facelatch.line.search import Pace
from facelatch.ports import AuditSink, Buttons, Camera, Clock, FaceFinder, Indicator, Lock
from facelatch.values.observations import Thresholds
from facelatch.vision.align import CROP_SIZE_PX
from facelatch.vision.manifest import Manifest

if TYPE_CHECKING:
    from facelatch.adapters.models.verifier_tflite import TfliteVerifier


def siamese_path(config: ModelConfig) -> Path:
    """The Siamese model the configuration names."""
    return Path(config.path) if config.path else shipped_file("models", "siamese.tflite")


def build_finder(config: FinderConfig) -> FaceFinder:
    """The face finder the configuration names. Raises ModelError."""
    if config.kind == "cascade":
        from facelatch.adapters.models.finder_cascade import CascadeFinder

        return CascadeFinder(config.score_threshold)
    if config.kind == "yunet":
        from facelatch.adapters.models.finder_yunet import YuNetFinder

        return YuNetFinder(Path(config.model), config.score_threshold)
    from facelatch.adapters.models.finder_tflite import TfliteFinder

    path = Path(config.model) if config.model else shipped_file("models", "finder.tflite")
    return TfliteFinder(path, config.score_threshold)


def thresholds(config: ModelConfig, manifest: Manifest) -> Thresholds:
    """The manifest's calibrated thresholds, unless the configuration overrides them."""
    return Thresholds(
        detection=config.detection_threshold or manifest.detection_threshold,
        verification=config.verification_threshold or manifest.verification_threshold,
        ambiguity_margin=config.ambiguity_margin,
    )


def build_verifier(config: ModelConfig) -> TfliteVerifier:
    """The Siamese model the configuration names. Raises ModelError, also for a toy or an uncalibrated one."""
    from facelatch.adapters.models.verifier_tflite import TfliteVerifier

    verifier = TfliteVerifier(siamese_path(config), threads=config.threads)
    if not verifier.manifest.opens_doors:
        raise ModelError(
            f"{siamese_path(config)}: trained on toy data, it opens no door",
            hint="use the model that came with facelatch, or train one on real people",
        )
    if "far_per_attempt" not in verifier.manifest.rates:
        raise ModelError(
            f"{siamese_path(config)}: never calibrated, nobody knows how many strangers it lets in",
            hint="facelatch-train calibrate MODEL --data CROPS",
        )
    return verifier


def build_line(config: Config) -> Line:
    """Loads both models, tries each once, and joins the line. Raises ModelError."""
    verifier = build_verifier(config.model)
    finder = build_finder(config.finder)
    # The first inference allocates; it must not be a visitor's.
    finder.find(np.zeros((config.camera.search_height_px, config.camera.search_width_px, 3), np.uint8))
    probe = verifier.embed(np.zeros((CROP_SIZE_PX, CROP_SIZE_PX, 3), np.uint8))
    verifier.compare(probe, probe[np.newaxis])
    return Line(
        finder=finder,
        verifier=verifier,
        quality=config.quality,
        thresholds=thresholds(config.model, verifier.manifest),
        similar_size_ratio=config.finder.similar_size_ratio,
        pace=Pace(1 / config.finder.full_search_rate_fps, 1 / config.finder.idle_search_rate_fps),
    )


def build_camera(config: CameraConfig, clock: Clock) -> Camera:
    """Opens the camera. Raises CameraError."""
    if config.source == "picamera2":
        from facelatch.adapters.cameras.picamera2 import Picamera2Camera

        return Picamera2Camera(config, clock)
    if config.source == "v4l2":
        from facelatch.adapters.cameras.v4l2 import V4l2Camera

        return V4l2Camera(config, clock)
    from facelatch.adapters.cameras.files import FilesCamera

    return FilesCamera(config, clock)


def build_audit() -> AuditSink:
    """The journal when there is one, otherwise stderr."""
    from facelatch.adapters.system.journal import open_audit

    return open_audit()


def build_pins(config: Config) -> tuple[Lock, Indicator, Buttons]:
    """Claims the lock at its safe level first, then the rest. Raises GpioError."""
    from facelatch.adapters.pins.indicator import GpioIndicator
    from facelatch.adapters.pins.inputs import GpioButtons
    from facelatch.adapters.pins.lock import GpioLock

    lock = GpioLock(config.gpio, max_unlock_seconds=config.door.max_unlock_seconds)
    try:
        return lock, GpioIndicator(config.gpio), GpioButtons(config.gpio)
    except BaseException:
        lock.close()
        raise


def run(config: Config, *, origin: str = "the defaults", dry_run: bool = False) -> None:
    """The daemon, until SIGTERM or SIGINT. With `dry_run` the pins are fakes and nothing is driven.

    `origin` says where the configuration is from, for the audit. The lock is claimed first: from then on
    every way out of this function leaves it locked.
    """
    from facelatch.adapters.pins import factory
    from facelatch.adapters.system.clock import MonotonicClock
    from facelatch.adapters.system.systemd import SystemdService
    from facelatch.control.server import ControlServer

    stop = _stop_on_signals()
    _keep_faces_out_of_core_dumps()
    if not dry_run:
        factory.remember(config.gpio)
    clock, audit = MonotonicClock(), build_audit()
    service = SystemdService(max_unlock_seconds=config.door.max_unlock_seconds)
    with ExitStack() as opened:
        try:
            lock, indicator, buttons = fake_pins(clock) if dry_run else build_pins(config)
            for part in (buttons, indicator, lock):
                opened.callback(part.close)
            audit.write(Event(EventKind.CONFIG_LOADED, {"FILE": origin}))
            line = build_line(config)
            _announce(audit, config, line)
            store = GalleryStore.open(Path(config.storage.state_directory))
            opened.callback(store.close)
            control = ControlServer(Path(config.control.socket), config.control.group)
            opened.callback(control.close)
            frames = NewestFrame(build_camera(config.camera, clock), clock)
        except FacelatchError as error:
            audit.write(loop.fault_event("start_", error))
            raise
        opened.pop_all()  # from here the loop closes everything
    world = loop.World(clock, frames, line, store, lock, indicator, buttons, audit, service, control)
    loop.run(world, config, stop=stop)


def replay(
    config: Config,
    source: Path,
    people: bytes | None,
    *,
    pace: float | None,
    watch: Callable[[loop.Turn], None],
) -> list[Event]:
    """The same loop on recorded frames with fake pins and a virtual clock; returns the audit events.

    `people` is a gallery export; the replay works on a throw-away copy, so nothing it does is kept.
    `pace` is the speed relative to the recording, None as fast as possible.
    """
    from facelatch.adapters import fakes
    from facelatch.adapters.cameras.files import FilesCamera
    from facelatch.adapters.system.systemd import SystemdService

    clock, audit = fakes.FakeClock(), fakes.FakeAudit()
    line = build_line(config)
    camera = FilesCamera(config.camera.model_copy(update={"source": "files", "device": str(source)}), clock)
    lock, indicator, buttons = fake_pins(clock)
    with scratch_directory() as scratch:
        store = GalleryStore.open(Path(scratch) / "state")
        if people is not None:
            store.import_from(people)
        frames = EachFrame(camera, clock, pace=pace)
        world = loop.World(clock, frames, line, store, lock, indicator, buttons, audit, SystemdService(None))
        loop.run(world, config, watch=watch)
    return audit.events


def fake_pins(clock: Clock) -> tuple[Lock, Indicator, Buttons]:
    """Pins that drive nothing, for replays and dry runs."""
    from facelatch.adapters import fakes

    return fakes.FakeLock(clock), fakes.FakeIndicator(), fakes.FakeButtons(clock)


def _stop_on_signals() -> Callable[[], bool]:
    """SIGTERM, SIGINT and a closed terminal become an input of the loop; the handler only takes a note."""
    asked: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        asked.append(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, note)
    return lambda: bool(asked)


def _keep_faces_out_of_core_dumps() -> None:
    """The watchdog ends a hung daemon by SIGABRT; its memory must not end up on the card."""
    with suppress(OSError, ValueError):  # forbidden by a sandbox
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _announce(audit: AuditSink, config: Config, line: Line) -> None:
    """Says which model judges, and that thresholds were overridden if they were."""
    audit.write(Event(EventKind.MODEL_LOADED, {"MODEL": line.verifier.model_sha256[:12]}))
    for key in ("detection_threshold", "verification_threshold"):
        value = getattr(config.model, key)
        if value is not None:
            audit.write(Event(EventKind.THRESHOLDS_OVERRIDDEN, {"KEY": f"model.{key}", "VALUE": value}))
