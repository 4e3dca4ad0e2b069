"""The lock as the daemon has it: its keeper is found or started, asked on every turn, and missed when it is gone."""

from __future__ import annotations

import errno
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from facelatch.adapters import fakes
from facelatch.adapters.pins import lock as lock_module
from facelatch.adapters.pins.lock import LOCKED_IS_HIGH, KeeperLock, keeper_settings, keepers_lock, relock
from facelatch.app import keeper
from facelatch.app.driving import Driver
from facelatch.audit.events import EventKind
from facelatch.cli.root import facelatch
from facelatch.config.file import Config, parse
from facelatch.config.wires import GpioConfig
from facelatch.errors import GpioError
from facelatch.keeper.__main__ import arguments, settings
from facelatch.keeper.lease import LEASE_SECONDS
from facelatch.values.wires import LockLevel

LOCKED, UNLOCKED = LockLevel.LOCKED, LockLevel.UNLOCKED
POLARITIES = list(LOCKED_IS_HIGH.items())
DAEMON = Path(keeper.facelatch.__file__).parents[1]


def config(**gpio: Any) -> Config:
    return parse({"gpio": {"pin_factory": "mock", **gpio}}, origin="test")


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[KeeperLock]:
    """The lock as on a desk: the keeper is a child, its line drives nothing."""
    monkeypatch.delenv(keeper.ENVIRONMENT, raising=False)
    lock = keeper.open_lock(config())
    yield lock
    lock.close()


def child() -> int:
    """The process of the keeper that this one has started."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    # Another test's picture decoder may be one of them.
    (found,) = (one for one in children if b"facelatch.keeper" in Path(f"/proc/{one}/cmdline").read_bytes())
    return int(found)


def scripted(*answers: str) -> tuple[KeeperLock, socket.socket]:
    """A lock whose keeper answers so, and the keeper's end."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for answer in ("locked", *answers):
        its.send(answer.encode())
    return KeeperLock(ours, "settings"), its


def test_the_table_of_polarities_matches_the_physics() -> None:
    """Locked is high exactly when a locked door means an energised coil and high energises it, or neither."""
    for (energise, active), high in LOCKED_IS_HIGH.items():
        assert high == ((energise == "to_lock") == (active == "high"))


@pytest.mark.parametrize(("polarity", "safe"), POLARITIES)
def test_the_keeper_is_told_the_door_and_nothing_else(polarity: tuple[str, str], safe: bool) -> None:
    """It calls its settings what the daemon calls them."""
    gpio = GpioConfig(lock_pin=5, lock_energise=polarity[0], lock_active=polarity[1])  # type: ignore[arg-type]
    said = keeper_settings(gpio, 10.0)
    assert said == f"--pin 5 --locked {'high' if safe else 'low'} --ceiling 10"
    assert settings(arguments([*said.split(), "--relock"])) == said
    beating = keeper_settings(gpio.model_copy(update={"heartbeat_pin": 6, "pin_factory": "mock"}), 2.5)
    assert beating == f"--pin 5 --locked {'high' if safe else 'low'} --ceiling 2.5 --heartbeat 6 --mock"
    assert settings(arguments([*beating.split(), "--relock"])) == beating


def test_every_turn_asks_for_its_level_and_learns_how_an_unlocking_ended() -> None:
    ends = ("locked ceiling", "locked ceiling", "unlocked", "locked late", "locked told")
    lock, its = scripted("locked", "unlocked", *ends)
    learnt = []
    for level in (LOCKED, UNLOCKED, UNLOCKED, LOCKED, UNLOCKED, UNLOCKED, LOCKED):
        lock.set(level)
        learnt.append((lock.ceiling_fired, lock.lapsed))
    no, ceiling, late = (False, False), (True, False), (False, True)
    assert learnt == [no, no, ceiling, ceiling, no, late, late]
    said = [its.recv(100).decode() for _ in range(8)]
    assert said == ["hello settings", "lock", "grant", "grant", "lock", "grant", "grant", "lock"]


def test_free_passage_that_lapsed_is_ended_once_before_it_is_asked_for_again() -> None:
    """By the driver that the loop uses; the keeper gives no other lease before it has heard `lock`."""
    lock, its = scripted("unlocked", "locked late", "locked late", "unlocked", "unlocked")
    audit = fakes.FakeAudit()
    driver = Driver(lock, audit, 10.0)
    for _ in range(5):
        driver.drive(LockLevel.FREE)
        driver.report()
    assert [its.recv(100).decode() for _ in range(6)][1:] == ["free", "free", "lock", "free", "free"]
    assert [event.kind for event in audit.events] == [EventKind.DOOR_LAPSED]


@pytest.mark.parametrize(("answer", "words"), [("fault", "cannot drive"), ("busy", "another process")])
def test_a_keeper_that_cannot_is_an_error(answer: str, words: str) -> None:
    lock, _ = scripted(answer)
    with pytest.raises(GpioError, match=words) as caught:
        lock.set(UNLOCKED)
    assert caught.value.hint


def test_on_a_desk_the_keeper_is_a_child_and_a_turn_that_takes_too_long_relocks(desk: KeeperLock) -> None:
    desk.set(LOCKED)
    desk.set(UNLOCKED)
    time.sleep(LEASE_SECONDS + 0.1)
    desk.set(UNLOCKED)
    assert desk.lapsed
    desk.set(LOCKED)
    desk.set(UNLOCKED)
    assert not desk.lapsed


def test_the_child_ends_when_the_daemon_closes_the_lock(desk: KeeperLock) -> None:
    pid = child()
    desk.set(UNLOCKED)
    desk.close()
    desk.close()
    assert not Path(f"/proc/{pid}").exists()


def test_the_child_ends_when_the_daemon_is_killed() -> None:
    """Nothing of the daemon's has to run for that: its end of the connection closes."""
    program = (
        "from facelatch.app import keeper; from facelatch.config.file import parse; import time;"
        "lock = keeper.open_lock(parse({'gpio': {'pin_factory': 'mock'}}, origin='test'));"
        "print('open', flush=True); time.sleep(60)"
    )
    environment = {key: value for key, value in os.environ.items() if key != keeper.ENVIRONMENT}
    daemon = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env={**environment, "PYTHONPATH": str(DAEMON)}
    )
    assert daemon.stdout is not None
    assert daemon.stdout.readline() == b"open\n"
    (pid,) = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
    daemon.kill()
    daemon.wait()
    daemon.stdout.close()
    wait_for(lambda: not Path(f"/proc/{pid}/exe").exists())


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_lost_keeper_is_an_error_now_and_from_then_on(desk: KeeperLock) -> None:
    desk.set(UNLOCKED)
    os.kill(child(), signal.SIGKILL)
    for level in (UNLOCKED, LOCKED):
        with pytest.raises(GpioError, match="does not answer"):
            desk.set(level)


def test_a_stopped_keeper_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(keeper.ENVIRONMENT, raising=False)
    monkeypatch.setattr(lock_module, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(keeper, "END_SECONDS", 0.1)
    lock = keeper.open_lock(config())
    os.kill(child(), signal.SIGSTOP)
    with pytest.raises(GpioError, match="does not answer"):
        lock.set(LOCKED)


def test_a_keeper_that_cannot_start_says_what_to_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """Started on a laptop with real pins: no traceback, a hint."""
    if Path("/proc/device-tree/system/linux,revision").exists():
        pytest.skip("this is a Raspberry Pi: there is nothing to refuse")
    monkeypatch.delenv(keeper.ENVIRONMENT, raising=False)
    with pytest.raises(GpioError, match="GPIO17") as caught:
        keeper.open_lock(config(pin_factory="lgpio"))
    assert "mock" in caught.value.hint


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A keeper as systemd starts it."""
    path = tmp_path / "lock.sock"
    words = [*lock_module.keeper_arguments(config().gpio, 10.0), "--socket", str(path)]
    user = pwd.getpwuid(os.getuid()).pw_name
    process = subprocess.Popen(
        [sys.executable, "-m", "facelatch.keeper", *words, "--client", user],
        env={"PYTHONPATH": str(DAEMON)},
        stderr=subprocess.DEVNULL,
    )
    monkeypatch.setenv(keeper.ENVIRONMENT, str(path))
    yield path
    process.terminate()
    process.wait(20)


def test_the_unit_names_a_keeper_that_is_waited_for_and_then_used(served: Path) -> None:
    lock = keeper.open_lock(config())
    lock.set(UNLOCKED)
    assert lock_module.ask_keeper(served, "state") == "unlocked"
    lock.close()
    wait_for(lambda: lock_module.ask_keeper(served, "state") == "locked")


def test_relock_locks_by_the_keeper_while_it_serves_somebody_else(served: Path) -> None:
    lock = keeper.open_lock(config())
    lock.set(UNLOCKED)
    relock(GpioConfig(), served)
    lock.set(UNLOCKED)
    assert lock.lapsed
    lock.close()


def test_a_keeper_with_other_settings_is_an_error_when_it_does_not_come_back(served: Path) -> None:
    wait_for(served.exists)
    with pytest.raises(GpioError, match="no keeper"):
        keepers_lock(served, "--pin 5 --locked low --ceiling 10", patience_seconds=0.3)


class FakeLine:
    """In the place of a line that is claimed: busy for a while."""

    busy = 0
    calls: list[Any]

    def __init__(self, pin: int, high: bool) -> None:
        if type(self).busy:
            type(self).busy -= 1
            raise OSError(errno.EBUSY, "Device or resource busy")
        type(self).calls.append(("claim", pin, high))

    def write(self, high: bool) -> None:
        type(self).calls.append(("write", high))

    def close(self) -> None:
        type(self).calls.append("free")


@pytest.fixture
def claimed(monkeypatch: pytest.MonkeyPatch) -> type[FakeLine]:
    FakeLine.calls, FakeLine.busy = [], 0
    monkeypatch.setattr(lock_module, "OutputLine", FakeLine)
    return FakeLine


@pytest.mark.parametrize(("polarity", "safe"), POLARITIES)
def test_where_no_keeper_answers_relock_drives_safe_and_lets_go(
    claimed: type[FakeLine], tmp_path: Path, polarity: tuple[str, str], safe: bool
) -> None:
    """What ExecStopPost runs touches the line with no other level."""
    relock(GpioConfig(lock_energise=polarity[0], lock_active=polarity[1]), tmp_path / "none")  # type: ignore[arg-type]
    assert claimed.calls == [("claim", 17, safe), ("write", safe), "free"]


def test_relock_waits_for_a_dying_process_to_let_go(claimed: type[FakeLine], tmp_path: Path) -> None:
    claimed.busy = 3
    relock(GpioConfig(), tmp_path / "none", pause=lambda _: None)
    assert claimed.calls[0] == ("claim", 17, False)


def test_relock_gives_up_on_a_line_that_stays_busy(claimed: type[FakeLine], tmp_path: Path) -> None:
    """Somebody else holds the pin: an error that names it, after a bounded number of tries."""
    claimed.busy = 100
    pauses: list[float] = []
    with pytest.raises(GpioError, match="GPIO17: Device or resource busy") as caught:
        relock(GpioConfig(), tmp_path / "none", attempts=4, pause=pauses.append)
    assert len(pauses) == 3
    assert caught.value.hint


def test_relock_of_mock_pins_drives_nothing(claimed: type[FakeLine], tmp_path: Path) -> None:
    relock(GpioConfig(pin_factory="mock"), tmp_path / "none")
    assert claimed.calls == []


def test_the_arguments_for_systemd_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file, toml = tmp_path / "arguments", tmp_path / "facelatch.toml"
    toml.write_text('[gpio]\nlock_pin = 5\nlock_active = "low"\n')
    command = ["--config", str(toml), "lock-arguments", str(file)]
    assert CliRunner().invoke(facelatch, command).exit_code == 0
    told = "FACELATCH_LOCK_ARGUMENTS=--pin 5 --locked high --ceiling 10\n"
    assert file.read_text() == told
    toml.write_text("[gpio")
    assert CliRunner().invoke(facelatch, command).exit_code != 0
    assert file.read_text() == told
