"""The daemon: everything is opened in the order that keeps the lock safe, then the loop runs."""

from __future__ import annotations

import itertools
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType

from facelatch.adapters.cameras.identity import identity as camera_identity
from facelatch.api.checks import Checks, Findings
from facelatch.api.rights import group_exists
from facelatch.app import loop
from facelatch.app.build import (
    build_audit,
    build_camera,
    build_control,
    build_ledger,
    build_line,
    build_pins,
    build_site,
    fake_pins,
    open_gallery,
)
from facelatch.app.build_entrance import build_entrance
from facelatch.app.camera_identity import HELD_SECONDS, Trust, is_another, remember
from facelatch.app.capture import ReopenedFrames
from facelatch.app.health import HealthWatch
from facelatch.app.world import World
from facelatch.audit.events import Event, EventKind
from facelatch.config.file import Config
from facelatch.config.line import CameraConfig
from facelatch.errors import AlreadyRunningError, CameraError, FacelatchError
from facelatch.gallery.mode import ModeFile
from facelatch.gallery.place import VOLATILE_HINT
from facelatch.gallery.store import GalleryStore
from facelatch.ledger.writer import Ledger
from facelatch.line.pipeline import Line
from facelatch.ports import AuditSink, Buttons, Camera, Clock, Indicator, Lock, SiteWires

Opener = Callable[[CameraConfig, Clock], Camera]


def run(
    config: Config, *, origin: str = "the defaults", dry_run: bool = False, camera: Opener = build_camera,
    try_all: Callable[[], Findings] = list,
) -> None:  # fmt: skip
    """The daemon, until SIGTERM or SIGINT. With `dry_run` the pins are fakes and nothing is driven.

    `origin` says where the configuration is from, for the audit; `try_all` is what `check` comes to. The lock is
    claimed first: from then on every way out of this function leaves it locked.
    """
    from facelatch.adapters.system.clock import MonotonicClock
    from facelatch.adapters.system.membership import membership
    from facelatch.adapters.system.systemd import SystemdService

    stop = _stop_on_signals()
    _keep_faces_out_of_core_dumps()
    clock, service = MonotonicClock(), SystemdService()
    with _audited(config) as (audit, ledger), ExitStack() as opened:
        try:
            lock, indicator, buttons, site = _wires(config, clock, opened, dry_run=dry_run)
            audit.write(Event(EventKind.CONFIG_LOADED, {"FILE": origin}))
            line = build_line(config)
            _announce(audit, config, line)
            store = open_gallery(config)
            opened.callback(store.close)
            if ledger is not None:
                ledger.start()  # not before the gallery is this process's: it says who may write here
            _tell_of_the_place(audit, store)
            member = membership(config.fleet)
            entrance = build_entrance(config, store, clock, audit, readers=not dry_run, member=member)
            opened.callback(entrance.close)
            control = build_control(config, store.seal.pepper, member, Checks(try_all, clock.now))
            opened.callback(control.close)
            _tell_of_the_socket(audit, config.control.group, control.shared_with)
            frames = _frames(config, clock, camera)
        except FacelatchError as error:
            audit.write(loop.fault_event("start_", error))
            raise
        opened.pop_all()  # from here the loop closes everything
        world = World(
            clock=clock, frames=frames, line=line, store=store, lock=lock, indicator=indicator, buttons=buttons,
            audit=audit, service=service, control=control, ledger=ledger, entrance=entrance,
            health=_health(config, audit, clock), site=site, reopen=frames.reopen, trust=_trusted(audit, config),
            modes=ModeFile(Path(config.storage.state_directory)), member=member,
        )  # fmt: skip
        loop.run(world, config, stop=stop)


@contextmanager
def _audited(config: Config) -> Iterator[tuple[AuditSink, Ledger | None]]:
    """Where events go: the journal and, where one is kept, the ledger, which is closed after the last of them."""
    journal = build_audit(config)
    ledger = build_ledger(config, journal)
    if ledger is None:
        yield journal, None
        return
    try:
        yield ledger, ledger
    except FacelatchError as error:
        if not isinstance(error, AlreadyRunningError):
            ledger.start_if_possible()  # a start that failed has its fault in the ledger, too
        raise
    finally:
        ledger.close()


def _health(config: Config, audit: AuditSink, clock: Clock) -> HealthWatch:
    from facelatch.adapters.system.health import MachineHealth

    machine = MachineHealth(
        Path(config.storage.state_directory), clock_assumed=config.schedule.clock_assumed
    )
    return HealthWatch(machine.read, config.health, audit, clock)


def _frames(config: Config, clock: Clock, camera: Opener) -> ReopenedFrames:
    """The frames of the camera. Raises CameraError when it is missing at the start.

    Where there are wires of the site the start does not wait for it: whoever leaves needs no camera. Only the first
    camera may be another one than before: `_trusted` holds everybody back for it. One that is swapped later ends the
    daemon, so that the next start does so.
    """
    openings = itertools.count()

    def opener() -> Camera:
        again = next(openings) > 0
        if again and is_another(Path(config.storage.state_directory), camera_identity(config.camera)):
            raise CameraError("another camera has come back", hint="if you have changed it, wait for the restart")
        return camera(config.camera, clock)

    return ReopenedFrames(opener, clock, None if config.inputs.used else opener())


def _wires(
    config: Config, clock: Clock, opened: ExitStack, *, dry_run: bool
) -> tuple[Lock, Indicator, Buttons, SiteWires]:
    """Everything with pins, the lock first; `opened` closes it. Raises GpioError."""
    from facelatch.adapters.fakes import FakeSite

    lock, indicator, buttons = fake_pins(clock) if dry_run else _real_pins(config)
    for part in (buttons, indicator, lock):
        opened.callback(part.close)
    site: SiteWires = FakeSite(clock) if dry_run else build_site(config)
    opened.callback(site.close)
    return lock, indicator, buttons, site


def _real_pins(config: Config) -> tuple[Lock, Indicator, Buttons]:
    """The pins, noted first for whoever has to lock when this process is gone."""
    from facelatch.adapters.pins import factory

    factory.remember(config.gpio)
    return build_pins(config)


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


def _tell_of_the_place(audit: AuditSink, store: GalleryStore) -> None:
    """Says what was wiped at the opening, and when the gallery may be forgotten."""
    if store.wiped_now:
        audit.write(Event(EventKind.GALLERY_WIPED))
    if store.volatile is not None:
        audit.write(
            Event(EventKind.GALLERY_VOLATILE, {"FILE_SYSTEM": store.volatile, "HINT": VOLATILE_HINT})
        )


def _trusted(audit: AuditSink, config: Config) -> Trust:
    """The camera, which is told of and waits when it is another one than at the start before."""
    folder, identity = Path(config.storage.state_directory), camera_identity(config.camera)
    changed = is_another(folder, identity)
    if changed:
        hint = "if you have changed it, wait; if not, look at the door"
        audit.write(Event(EventKind.CAMERA_CHANGED, {"SECONDS": HELD_SECONDS, "HINT": hint}))
    return Trust(HELD_SECONDS if changed else 0.0, lambda: remember(folder, identity))


def _tell_of_the_socket(audit: AuditSink, group: str, shared_with: str | None) -> None:
    """Says when the group that was to reach the daemon does not."""
    if group and shared_with is None:
        reason = "the daemon's user is not in it" if group_exists(group) else "there is no such group"
        audit.write(Event(EventKind.CONTROL_NOT_SHARED, {"VALUE": group, "REASON": reason}))


def _announce(audit: AuditSink, config: Config, line: Line) -> None:
    """Says which model judges, and that thresholds were overridden if they were."""
    audit.write(Event(EventKind.MODEL_LOADED, {"MODEL": line.verifier.model_sha256[:12]}))
    for key in ("detection_threshold", "verification_threshold"):
        value = getattr(config.model, key)
        if value is not None:
            audit.write(Event(EventKind.THRESHOLDS_OVERRIDDEN, {"KEY": f"model.{key}", "VALUE": value}))
