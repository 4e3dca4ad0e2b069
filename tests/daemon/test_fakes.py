"""The fakes do what their ports promise, and the adapters fit the ports."""

from __future__ import annotations

import socket

import numpy as np
import pytest
from gpiozero.pins.mock import MockFactory

from facelatch import ports
from facelatch.adapters import fakes
from facelatch.adapters.pins.indicator import GpioIndicator
from facelatch.adapters.pins.inputs import GpioButtons
from facelatch.adapters.pins.lock import KeeperLock, keeper_settings
from facelatch.adapters.system.clock import MonotonicClock
from facelatch.adapters.system.journal import open_audit
from facelatch.adapters.system.systemd import SystemdService
from facelatch.audit.events import Event, EventKind
from facelatch.config.wires import GpioConfig
from facelatch.values.pictures import Box, Face
from facelatch.values.wires import EdgeKind, Lamp, LockLevel


def test_every_fake_and_adapter_fits_its_port() -> None:
    """The annotations are checked by mypy; running them shows that everything can be made."""
    clock: ports.Clock = fakes.FakeClock()
    clocks: list[ports.Clock] = [clock, MonotonicClock()]
    config, factory = GpioConfig(), MockFactory()
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    its.send(b"locked")
    locks: list[ports.Lock] = [fakes.FakeLock(clock), KeeperLock(ours, keeper_settings(config, 1.0))]
    indicators: list[ports.Indicator] = [fakes.FakeIndicator(), GpioIndicator(config, factory=factory)]
    buttons: list[ports.Buttons] = [fakes.FakeButtons(clock), GpioButtons(config, factory=factory)]
    sinks: list[ports.AuditSink] = [fakes.FakeAudit(), open_audit()]
    services: list[ports.ServiceManager] = [fakes.FakeServiceManager(), SystemdService(None)]
    camera: ports.Camera = fakes.FakeCamera([])
    finder: ports.FaceFinder = fakes.FakeFinder()
    verifier: ports.Verifier = fakes.FakeVerifier()
    assert len({len(pair) for pair in (clocks, locks, indicators, buttons, sinks, services)}) == 1
    assert camera.read() is None
    assert finder.find(np.zeros((1, 1, 3), np.uint8)) == ()
    assert len(verifier.model_sha256) == 64
    for lock in locks:
        lock.close()
    for indicator in indicators:
        indicator.close()
    for button in buttons:
        button.close()


def test_fake_time_moves_forward_only() -> None:
    """By a step or to an instant, never back."""
    clock = fakes.FakeClock(10.0)
    clock.advance(2.0)
    clock.advance_to(11.0)
    assert clock.now() == 12.0
    clock.advance_to(20.0)
    assert clock.now() == 20.0
    with pytest.raises(ValueError, match="back"):
        clock.advance(-1.0)


def test_the_fake_lock_records_changes_with_their_times_and_ends_locked() -> None:
    """Repeated levels are no changes; closing locks."""
    clock = fakes.FakeClock()
    lock = fakes.FakeLock(clock)
    for level in (LockLevel.LOCKED, LockLevel.UNLOCKED, LockLevel.UNLOCKED):
        clock.advance(1.0)
        lock.set(level)
    clock.advance(1.0)
    lock.close()
    assert lock.changes == [(2.0, LockLevel.UNLOCKED), (4.0, LockLevel.LOCKED)]


def test_the_fake_indicator_records_changes_and_ends_dark() -> None:
    """Repeated lamps are no changes."""
    indicator = fakes.FakeIndicator()
    for lamp in (Lamp(), Lamp(red=True), Lamp(red=True)):
        indicator.show(lamp)
    indicator.close()
    assert indicator.shown == [Lamp(red=True), Lamp()]


def test_the_fake_button_yields_its_edges_once() -> None:
    """With the time they happened."""
    clock = fakes.FakeClock(1.0)
    buttons = fakes.FakeButtons(clock)
    buttons.press()
    clock.advance(0.5)
    buttons.release()
    assert [(edge.kind, edge.at) for edge in buttons.edges()] == [
        (EdgeKind.PRESSED, 1.0),
        (EdgeKind.RELEASED, 1.5),
    ]
    assert list(buttons.edges()) == []


def test_the_fake_finder_repeats_its_last_answer() -> None:
    """A script, one item a call."""
    face = Face(Box(0, 0, 1, 1), np.zeros((5, 2), np.float32), 1.0)
    finder = fakes.FakeFinder((), (face,))
    picture = np.zeros((1, 1, 3), np.uint8)
    assert [len(finder.find(picture)) for _ in range(4)] == [0, 1, 1, 1]


def test_to_the_fake_verifier_colours_are_people() -> None:
    """The same colour is similar, another is not, and nobody enrolled gives no similarity."""
    verifier = fakes.FakeVerifier()
    red, blue = (np.full((112, 112, 3), colour, np.uint8) for colour in ((200, 0, 0), (0, 0, 200)))
    gallery = np.stack([verifier.embed(red), verifier.embed(blue)])
    similarities = verifier.compare(verifier.embed(red), gallery)
    assert similarities[0] == pytest.approx(1.0)
    assert similarities[1] < 0.01
    assert verifier.compare(verifier.embed(red), np.zeros((0, 3), np.float32)).shape == (0,)


def test_fake_audit_and_service_keep_what_they_are_told() -> None:
    """In order, in systemd's own words."""
    audit, service = fakes.FakeAudit(), fakes.FakeServiceManager()
    event = Event(EventKind.FAULT, {"REASON": "test"})
    audit.write(event)
    service.ready()
    service.status("locked")
    service.watchdog()
    service.stopping()
    assert audit.events == [event]
    assert service.messages == ["READY=1", "STATUS=locked", "WATCHDOG=1", "STOPPING=1"]
