"""What systemd hears, on a real datagram socket."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from facelatch.adapters.system.systemd import SystemdService


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        yield listening


def heard(manager: socket.socket) -> list[str]:
    messages = []
    while True:
        try:
            messages.append(manager.recv(4096).decode())
        except BlockingIOError:
            return messages


def test_a_life_in_notifications(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call is one datagram to the socket systemd names in the environment."""
    monkeypatch.setenv("NOTIFY_SOCKET", manager.getsockname())
    service = SystemdService()
    service.ready()
    service.status("locked, nobody there")
    service.watchdog()
    service.stopping()
    assert heard(manager) == ["READY=1", "STATUS=locked, nobody there", "WATCHDOG=1", "STOPPING=1"]


def test_a_step_of_a_long_work_buys_time_for_the_next(manager: socket.socket) -> None:
    """While starting the time limit moves, while serving the watchdog is fed."""
    SystemdService(manager.getsockname()).busy()
    assert heard(manager) == ["EXTEND_TIMEOUT_USEC=30000000\nWATCHDOG=1"]


def test_a_status_is_sent_when_it_changes(manager: socket.socket) -> None:
    """Fifteen turns a second must not become fifteen messages."""
    service = SystemdService(manager.getsockname())
    for text in ("a", "a", "b", "b", "a"):
        service.status(text)
    assert heard(manager) == ["STATUS=a", "STATUS=b", "STATUS=a"]


def test_a_status_stays_on_one_line(manager: socket.socket) -> None:
    """A line break would begin another assignment."""
    SystemdService(manager.getsockname()).status("locked\nWATCHDOG=1")
    assert heard(manager) == ["STATUS=locked WATCHDOG=1"]


def test_an_abstract_socket_works_too() -> None:
    """Containers hand down addresses that begin with @."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0facelatch-test-notify")
        listening.setblocking(False)
        SystemdService("@facelatch-test-notify").ready()
        assert heard(listening) == ["READY=1"]


@pytest.mark.parametrize("named", [True, False])
def test_without_a_listener_nothing_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    """Neither a manager that is gone nor none at all disturbs the door."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    service = SystemdService(str(tmp_path / "gone")) if named else SystemdService()
    service.ready()
    service.watchdog()
    service.stopping()


def test_none_is_silent_even_under_systemd(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay inside a unit must not speak for the daemon."""
    monkeypatch.setenv("NOTIFY_SOCKET", manager.getsockname())
    SystemdService(None).ready()
    assert heard(manager) == []


def test_a_deaf_manager_does_not_block(manager: socket.socket) -> None:
    """With its queue full the message is lost, and the loop goes on."""
    service = SystemdService(manager.getsockname())
    for _ in range(5000):
        service.watchdog()
    assert 0 < len(heard(manager)) < 5000
