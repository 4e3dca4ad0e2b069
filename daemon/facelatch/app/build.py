"""The composition root: configuration -> adapters. Nothing else builds adapters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facelatch.app.model_files import finder_path, liveness_path, siamese_path
from facelatch.config.file import Config
from facelatch.config.line import CameraConfig, FinderConfig, ModelConfig
from facelatch.config.liveness import LivenessConfig
from facelatch.decoder.files import LeftOut
from facelatch.errors import ModelError
from facelatch.gallery.store import GalleryStore
from facelatch.line.distinct import distinct_test
from facelatch.line.liveness import Check
from facelatch.line.pipeline import Line
from facelatch.line.search import Pace
from facelatch.ports import (
    AuditSink,
    Buttons,
    Camera,
    Clock,
    FaceFinder,
    Indicator,
    Liveness,
    Lock,
    SiteWires,
)
from facelatch.values.observations import Thresholds
from facelatch.values.pictures import Box
from facelatch.vision.align import CROP_SIZE_PX
from facelatch.vision.cohort import load_cohort
from facelatch.vision.liveness_manifest import Level, LivenessManifest
from facelatch.vision.manifest import Manifest

if TYPE_CHECKING:
    from facelatch.adapters.models.verifier_tflite import TfliteVerifier
    from facelatch.api.checks import Checks
    from facelatch.control.server import ControlServer
    from facelatch.ledger.writer import Ledger
    from facelatch.sharing.membership import Membership


def build_finder(config: FinderConfig) -> FaceFinder:
    """The face finder the configuration names. Raises ModelError."""
    if config.kind == "cascade":
        from facelatch.adapters.models.finder_cascade import CascadeFinder

        return CascadeFinder(config.score_threshold)
    if config.kind == "yunet":
        from facelatch.adapters.models.finder_yunet import YuNetFinder

        return YuNetFinder(Path(config.model), config.score_threshold)
    from facelatch.adapters.models.finder_tflite import TfliteFinder

    return TfliteFinder(finder_path(config), config.score_threshold)


def thresholds(config: ModelConfig, manifest: Manifest) -> Thresholds:
    """The manifest's calibrated thresholds, unless the configuration overrides them."""
    visits = manifest.visits
    return Thresholds(
        detection=config.detection_threshold or manifest.detection_threshold,
        verification=config.verification_threshold or manifest.verification_threshold,
        ambiguity_margin=config.ambiguity_margin,
        likeness=visits.likeness_threshold if visits is not None else None,
        steady=visits.steady_threshold if visits is not None else None,
        lookalike=visits.lookalike_threshold if visits is not None else None,
        lookalike_verification=visits.lookalike_verification_threshold if visits is not None else None,
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


def build_liveness(config: LivenessConfig, models: ModelConfig) -> Check | None:
    """How the door asks whether somebody is alive; None where it does not. Raises ModelError."""
    if config.level == "off":
        return None
    from facelatch.adapters.models.liveness_tflite import ExtraLiveness, TfliteLiveness, Together

    own = TfliteLiveness(liveness_path(config))
    if models.require_signature:
        _require_signed_liveness(config, own.manifest, models)
    network: Liveness = own
    if config.extra_model:
        network = Together(own, ExtraLiveness(Path(config.extra_model)))
    network.look(np.zeros((CROP_SIZE_PX, CROP_SIZE_PX, 3), np.uint8), Box(20, 20, 60, 60))
    return Check(
        network=network,
        threshold=liveness_level(config, own.manifest, config.level).threshold,
        enrolment_threshold=liveness_level(config, own.manifest, "strict").threshold,
        seconds=own.manifest.seconds,
        pictures=own.manifest.pictures,
        asks=config.ask != "never",
    )


def liveness_level(config: LivenessConfig, manifest: LivenessManifest, name: str) -> Level:
    """The calibrated level. Raises ModelError where the model was never calibrated with an extra one."""
    level = manifest.level(name, extra=bool(config.extra_model))
    if level is None:
        raise ModelError(
            f"{liveness_path(config)}: never calibrated with an extra model",
            hint="leave liveness.extra_model empty, or export with `facelatch-train liveness export --teacher`",
        )
    return level


def _require_signed_liveness(config: LivenessConfig, manifest: LivenessManifest, models: ModelConfig) -> None:
    from facelatch.app import signed

    signed.require(liveness_path(config), manifest, models)
    if config.extra_model:
        raise ModelError(
            "model.require_signature: liveness.extra_model has no manifest that could be signed",
            hint='liveness.extra_model = "", or model.require_signature = false',
        )


def _require_signatures(config: Config, verifier: TfliteVerifier, finder: FaceFinder) -> None:
    """Raises ModelError unless somebody signed both models who may. OpenCV's cascade is part of the program."""
    from facelatch.adapters.models.finder_tflite import TfliteFinder
    from facelatch.app import signed

    signed.require(siamese_path(config.model), verifier.manifest, config.model)
    if isinstance(finder, TfliteFinder):
        signed.require(finder_path(config.finder), finder.manifest, config.model)
    elif config.finder.kind != "cascade":
        raise ModelError(
            "model.require_signature: a YuNet file has no manifest that could be signed",
            hint='finder.kind = "network", or model.require_signature = false',
        )


def build_line(config: Config) -> Line:
    """Loads both models, tries each once, and joins the line. Raises ModelError."""
    verifier = build_verifier(config.model)
    finder = build_finder(config.finder)
    if config.model.require_signature:
        _require_signatures(config, verifier, finder)
    # The first inference allocates; it must not be a visitor's.
    finder.find(np.zeros((config.camera.search_height_px, config.camera.search_width_px, 3), np.uint8))
    probe = verifier.embed(np.zeros((CROP_SIZE_PX, CROP_SIZE_PX, 3), np.uint8))
    verifier.compare(probe, probe[np.newaxis])
    cohort = load_cohort(siamese_path(config.model), verifier.manifest)
    limits = thresholds(config.model, verifier.manifest)
    return Line(
        finder=finder,
        verifier=verifier,
        quality=config.quality,
        thresholds=limits,
        similar_size_ratio=config.finder.similar_size_ratio,
        pace=Pace(
            busy_seconds=1 / config.finder.full_search_rate_fps,
            idle_seconds=1 / config.finder.idle_search_rate_fps,
        ),
        cohort=cohort,
        set_tests=(distinct_test(verifier, cohort, limits),),
        liveness=build_liveness(config.liveness, config.model),
        measures_turns=config.liveness.ask != "never",
    )


def build_camera(
    config: CameraConfig,
    clock: Clock,
    *,
    loop: bool = False,
    skipped: Callable[[LeftOut], object] = lambda _file: None,
) -> Camera:
    """Opens the camera. Raises CameraError. `loop` and `skipped` are for recorded pictures, see FilesCamera."""
    if config.source == "picamera2":
        from facelatch.adapters.cameras.picamera2 import Picamera2Camera

        return Picamera2Camera(config, clock)
    if config.source == "v4l2":
        from facelatch.adapters.cameras.v4l2 import V4l2Camera

        return V4l2Camera(config, clock)
    from facelatch.adapters.cameras.files import FilesCamera

    return FilesCamera(config, clock, loop=loop, skipped=skipped)


def open_gallery(config: Config, *, older: bool = False) -> GalleryStore:
    """Opens the gallery, sealed when there is a key; with `older` also one that is older than the ledger knows.

    Raises AlreadyRunningError, GalleryError.
    """
    from facelatch.adapters.system.credential import seal_keys
    from facelatch.api.generation import newest

    directory = Path(config.storage.state_directory)
    store = GalleryStore.open(directory, seal_keys(config.seal))
    return newest(store, directory) if config.audit.chain and not older else store


def build_audit(config: Config) -> AuditSink:
    """The journal when there is one, otherwise stderr. People are numbers in it where the gallery is sealed."""
    from facelatch.adapters.system.credential import is_sealed
    from facelatch.adapters.system.journal import open_audit

    return open_audit(names=config.audit.names and not is_sealed(config.seal))


def build_ledger(config: Config, journal: AuditSink) -> Ledger | None:
    """The ledger that passes events on to `journal`, not open yet; None where none is kept."""
    from facelatch.adapters.system.clock import moments
    from facelatch.ledger.writer import Ledger, Terms

    if not config.audit.chain:
        return None
    terms = Terms(
        anchor_events=config.audit.anchor_events,
        anchor_seconds=config.audit.anchor_seconds,
        events_days=config.retention.events_days,
    )
    return Ledger(journal, Path(config.storage.state_directory), terms, moments(assumed=config.schedule.clock_assumed))


def build_control(
    config: Config, pepper: bytes | None, member: Membership | None = None, checks: Checks | None = None
) -> ControlServer:
    """Opens the control socket; `pepper` is the secret for PINs of a sealed gallery, `checks` answers `check`.

    `member` is the door's part in a fleet. Raises AlreadyRunningError, ControlError, ConfigError for the schedules.
    """
    from facelatch.api.hours import house
    from facelatch.api.intake import intake
    from facelatch.control.server import ControlServer

    control = config.control
    answering = intake(control, house(config, pepper, member), checks)
    return ControlServer(Path(control.socket), control.group, answering)


def build_pins(config: Config) -> tuple[Lock, Indicator, Buttons]:
    """The lock's keeper first, which holds the line at its safe level, then the rest. Raises GpioError."""
    from facelatch.app.keeper import open_lock

    lock = open_lock(config)
    try:
        return lock, *build_other_pins(config)
    except BaseException:
        lock.close()
        raise


def build_other_pins(config: Config) -> tuple[Indicator, Buttons]:
    """Claims the LED, the buzzer and the button. Raises GpioError."""
    from facelatch.adapters.pins.indicator import GpioIndicator
    from facelatch.adapters.pins.inputs import GpioButtons

    indicator = GpioIndicator(config.gpio)
    try:
        return indicator, GpioButtons(config.gpio)
    except BaseException:
        indicator.close()
        raise


def build_site(config: Config) -> SiteWires:
    """Claims the wires of the site that are configured; without any nothing is touched. Raises GpioError."""
    from facelatch.adapters.pins.site import GpioSite

    return GpioSite(config)


def fake_pins(clock: Clock) -> tuple[Lock, Indicator, Buttons]:
    """Pins that drive nothing, for replays and dry runs."""
    from facelatch.adapters import fakes

    return fakes.FakeLock(clock), fakes.FakeIndicator(), fakes.FakeButtons(clock)
