"""The lock's keeper: nothing said, left unsaid, broken off or broken keeps the line unlocked without a lease."""

from __future__ import annotations

import ast
import errno
import fcntl
import os
import re
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from facelatch.keeper import line as line_module
from facelatch.keeper import serve, telling
from facelatch.keeper.__main__ import arguments, listening, main, settings
from facelatch.keeper.lease import LEASE_SECONDS, Lease
from facelatch.keeper.line import OutputLine
from facelatch.keeper.serve import PING_SECONDS, Keeper

ROOM = Path(serve.__file__).parent
SETTINGS = "--pin 17 --locked low --ceiling 3"
CEILING = 3.0


class FakeLine:
    """A line that a test can break; knows since when it has which level."""

    def __init__(self) -> None:
        self.high = False
        self.broken = False
        self.written: list[bool] = []
        self.closed = False

    def write(self, high: bool) -> None:
        if self.broken:
            raise OSError(errno.EIO, "broken")
        self.high = high
        self.written.append(high)

    def close(self) -> None:
        self.closed = True


class Bench:
    """A keeper at a virtual clock, its line, and clients at real sockets."""

    def __init__(self, clients: int = 2, *, heartbeat: bool = False) -> None:
        self.now = 100.0
        self.line, self.beat = FakeLine(), FakeLine()
        self.keeper = Keeper(
            self.line,  # type: ignore[arg-type]
            self.beat if heartbeat else None,  # type: ignore[arg-type]
            Lease(CEILING),
            locked_is_high=False,
            settings=SETTINGS,
        )
        self.clock = SimpleNamespace(monotonic=lambda: self.now, sleep=lambda _: None)
        self.waits = self.keeper._patience
        self.keeper._patience = lambda: 0.0  # type: ignore[method-assign]
        self.clients = [self.connect() for _ in range(clients)]
        for client in self.clients:
            assert self.say(client, f"hello {SETTINGS}") == "locked"

    def connect(self) -> socket.socket:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.keeper.add(its)
        ours.setblocking(False)
        return ours

    def turn(self) -> None:
        serve.time = self.clock  # type: ignore[attr-defined]
        try:
            self.keeper.turn()
        finally:
            serve.time = __import__("time")  # type: ignore[attr-defined]

    def say(self, client: socket.socket, word: str) -> str | None:
        """The answer; empty when the keeper hung up."""
        try:
            client.send(word.encode())
        except OSError:
            return ""
        self.turn()
        try:
            return client.recv(100).decode()
        except BlockingIOError:
            return None
        except OSError:
            return ""

    def wait(self, seconds: float) -> Iterator[float]:
        """Time passes as the keeper lets it: it wakes when it said it would."""
        end = self.now + seconds
        while self.now < end:
            serve.time = self.clock  # type: ignore[attr-defined]
            left = self.waits()
            serve.time = __import__("time")  # type: ignore[attr-defined]
            self.now = min(end, self.now + max(left, 1e-4))
            self.turn()
            yield self.now


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_grant_unlocks_as_long_as_it_is_renewed_and_ends_well_with_lock(bench: Bench) -> None:
    daemon = bench.clients[0]
    for _ in range(4):
        assert bench.say(daemon, "grant") == "unlocked"
        list(bench.wait(0.4))
        assert bench.line.high
    assert bench.say(daemon, "lock") == "locked"
    assert not bench.line.high


def test_half_a_second_of_silence_locks_and_the_holder_learns_it_until_it_begins_anew(bench: Bench) -> None:
    daemon = bench.clients[0]
    bench.say(daemon, "grant")
    moments = [now for now in bench.wait(1.0) if bench.line.high]
    assert max(moments) < 100 + LEASE_SECONDS
    assert [bench.say(daemon, word) for word in ("grant", "free", "state", "lock", "grant")] == [
        "locked late",
        "locked late",
        "locked late",
        "locked late",
        "unlocked",
    ]
    assert bench.say(daemon, "lock") == "locked"


def test_the_ceiling_ends_a_grant_however_often_it_is_renewed(bench: Bench) -> None:
    daemon = bench.clients[0]
    answers = []
    for _ in range(30):
        answers.append(bench.say(daemon, "grant"))
        list(bench.wait(0.125))
    assert answers == ["unlocked"] * 24 + ["locked ceiling"] * 6
    assert bench.say(daemon, "lock") == "locked ceiling"


def test_free_passage_has_no_ceiling_but_has_to_be_renewed_as_well(bench: Bench) -> None:
    daemon = bench.clients[0]
    for _ in range(100):
        assert bench.say(daemon, "free") == "unlocked"
        list(bench.wait(0.4))
    list(bench.wait(0.2))
    assert not bench.line.high


def test_a_grant_after_free_passage_has_its_ceiling_from_then_on(bench: Bench) -> None:
    daemon = bench.clients[0]
    for _ in range(20):
        bench.say(daemon, "free")
        list(bench.wait(0.4))
    answers = []
    for _ in range(20):
        answers.append(bench.say(daemon, "grant"))
        list(bench.wait(0.25))
    assert answers.count("unlocked") == CEILING / 0.25


@pytest.mark.parametrize("word", ["unlock", "GRANT", "grant ", "\x00", "g" * 5000, ""])
def test_a_malformed_word_locks_and_ends_the_conversation(bench: Bench, word: str) -> None:
    daemon = bench.clients[0]
    bench.say(daemon, "grant")
    assert bench.say(daemon, word) == ""
    assert not bench.line.high
    assert bench.say(bench.clients[1], "grant") == "unlocked", "somebody else may begin anew"


def test_a_closed_connection_locks(bench: Bench) -> None:
    bench.say(bench.clients[0], "grant")
    bench.clients[0].close()
    bench.turn()
    assert not bench.line.high


def test_a_word_of_somebody_who_has_gone_since_drives_nothing(bench: Bench) -> None:
    """The keeper was stopped meanwhile; grant and farewell are both waiting when it goes on."""
    bench.clients[0].send(b"grant")
    bench.clients[0].close()
    bench.turn()
    assert True not in bench.line.written


def test_only_one_client_at_a_time_has_a_lease_but_any_may_lock(bench: Bench) -> None:
    daemon, other = bench.clients
    bench.say(daemon, "grant")
    assert bench.say(other, "grant") == "busy"
    assert bench.say(other, "state") == "unlocked"
    assert bench.say(other, "lock") == "locked told"
    assert bench.say(other, "lock") == "locked told"
    assert bench.say(daemon, "grant") == "locked told", "its own word has to end what another ended"
    assert bench.say(other, "grant") == "busy"
    assert [bench.say(daemon, word) for word in ("lock", "grant")] == ["locked told", "unlocked"]


def test_nobody_gets_a_lease_without_a_greeting(bench: Bench) -> None:
    assert bench.say(bench.connect(), "grant") == ""
    assert not bench.line.high


def test_a_greeting_with_other_settings_locks_and_ends_the_keeper(bench: Bench) -> None:
    """systemd starts it anew, by the configuration as it is then."""
    bench.say(bench.clients[0], "grant")
    assert bench.say(bench.connect(), "hello --pin 5 --locked high --ceiling 3") == "other"
    assert not bench.line.high
    assert bench.keeper.over


def test_a_line_that_does_not_obey_is_driven_again_until_it_does(bench: Bench) -> None:
    daemon = bench.clients[0]
    bench.say(daemon, "grant")
    bench.line.broken = True
    assert bench.say(daemon, "grant") == "fault"
    assert bench.waits() <= serve.RETRY_SECONDS
    assert bench.say(daemon, "lock") == "fault"
    bench.line.broken = False
    assert bench.line.high
    bench.turn()
    assert not bench.line.high
    assert bench.say(daemon, "lock") == "locked fault"


def test_the_last_thing_it_does_is_to_lock(bench: Bench) -> None:
    bench.say(bench.clients[0], "free")
    bench.keeper.close()
    assert (bench.line.high, bench.line.closed) == (False, True)


def test_the_heartbeat_beats_while_unlocked_only() -> None:
    """Edges come faster than any monostable falls back."""
    bench = Bench(heartbeat=True)
    list(bench.wait(1.0))
    assert set(bench.beat.written) == {False}
    bench.say(bench.clients[0], "grant")
    bench.beat.written.clear()
    list(bench.wait(0.45))
    assert sum(a != b for a, b in zip(bench.beat.written, bench.beat.written[1:], strict=False)) >= 7
    list(bench.wait(0.3))
    assert bench.beat.written[-1] is False


def test_the_watchdog_is_pinged_on_every_turn_and_a_turn_is_short(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(serve, "notify", sent.append)
    bench.turn()
    assert sent == ["WATCHDOG=1"]
    assert bench.waits() <= PING_SECONDS < 2.0 / 2


WORDS = ["grant", "grant", "free", "lock", "state", "nonsense", f"hello {SETTINGS}"]
CLIENTS = st.sampled_from([0, 0, 0, 1])
STEPS = st.one_of(
    st.tuples(st.just("say"), CLIENTS, st.sampled_from(WORDS)),
    st.tuples(st.just("hold"), CLIENTS, st.integers(1, 12).map(str)),
    st.tuples(st.just("close"), CLIENTS, st.just("")),
    st.tuples(st.just("wait"), st.floats(0.01, 0.7), st.just("")),
    st.tuples(st.just("stall"), st.floats(0.01, 2.0), st.just("")),
    st.tuples(st.just("break"), st.sampled_from([0.0, 0.0, 1.0]), st.just("")),
)
"""`hold` asks again and again, as the daemon does; `stall` stops the keeper itself, its watchdog's business."""


class Judge:
    """Judges the line by what was said alone."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.asked: dict[int, float] = {}  # client -> when it last asked, unless it took that back
        self.granted = self.free = -1000.0  # when the present run of `grant` began; when `free` was last said
        self.holder: int | None = None  # who began the last unlocking
        self.fell = False  # it ended, and its holder has not said `lock` since
        self.was_high = False

    def check(self) -> None:
        now, high = self.bench.now, self.bench.line.high
        if self.was_high and not high and self.holder is not None:
            self.fell = True
        if high and not self.bench.line.broken:
            assert any(now - at < LEASE_SECONDS for at in self.asked.values())
            assert now - self.free < LEASE_SECONDS or now - self.granted < CEILING
            assert not self.fell
        self.was_high = high

    def say(self, client: int, word: str) -> None:
        now, running = self.bench.now, self.bench.line.high
        if word in ("grant", "free"):
            self.asked[client] = now
            if word == "free":
                self.free = now
            elif not running or now - self.free < LEASE_SECONDS:
                self.granted = now
        elif word in ("lock", "nonsense"):
            self.forget(client)
        if self.bench.say(self.bench.clients[client], word) == "":
            self.forget(client)
            self.join(client)
        if self.bench.line.high and not running:
            self.holder = client
        self.check()

    def forget(self, client: int) -> None:
        self.asked.pop(client, None)
        if client == self.holder:
            self.holder, self.fell = None, False

    def join(self, client: int) -> None:
        self.bench.clients[client] = self.bench.connect()
        self.bench.say(self.bench.clients[client], f"hello {SETTINGS}")

    def wait(self, seconds: float) -> None:
        for _ in self.bench.wait(seconds):
            self.check()

    def close(self, client: int) -> None:
        self.bench.clients[client].close()
        self.forget(client)
        self.bench.turn()
        self.join(client)

    def step(self, kind: str, value: float, word: str) -> None:
        if kind == "say":
            self.say(int(value), word)
        elif kind == "hold":
            for _ in range(int(word)):
                self.say(int(value), "grant")
                self.wait(0.4)
        elif kind == "close":
            self.close(int(value))
        elif kind == "wait":
            self.wait(value)
        else:
            if kind == "stall":
                self.bench.now += value
            else:
                self.bench.line.broken = bool(value)
            self.bench.turn()
        self.check()


@settings_of_hypothesis(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=30))
def test_no_sequence_of_words_closings_and_times_keeps_the_line_unlocked_without_a_lease(
    steps: list[tuple[str, float, str]],
) -> None:
    """A word within half a second, by somebody still there; the ceiling; and no second unlocking without a `lock`."""
    judge = Judge()
    for step in steps:
        judge.step(*step)


# ---- The line


class Kernel:
    """The ioctls of a chip of memory, checked against the sizes in linux/gpio.h."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, devices: Path, labels: list[str]) -> None:
        self.calls: list[tuple[str, int]] = []
        self.labels, self.level, self.stuck = labels, 0, False
        for number in range(len(labels)):
            (devices / f"gpiochip{number}").touch()
        self._opened: dict[int, int] = {}
        true_open = os.open

        def opened(path: str, flags: int, mode: int = 0o777) -> int:
            descriptor = true_open(path, flags, mode)
            if match := re.search(r"gpiochip(\d+)$", str(path)):
                self._opened[descriptor] = int(match[1])
            return descriptor

        monkeypatch.setattr(os, "open", opened)
        monkeypatch.setattr(fcntl, "ioctl", self.ioctl)

    def ioctl(self, descriptor: int, request: int, buffer: bytearray) -> int:
        assert len(buffer) == request >> 16 & 0x3FFF, "the size in the request's number is the buffer's"
        match request & 0xFFFF:
            case 0xB401:
                buffer[32:64] = self.labels[self._opened[descriptor]].encode().ljust(32, b"\0")
            case 0xB407:
                (flags, attributes) = struct.unpack_from("=QI", buffer, 288)
                (kind, value, mask) = struct.unpack_from("=I4xQQ", buffer, 320)
                assert (flags, attributes, kind, mask) == (8, 1, 2, 1)
                assert struct.unpack_from("=I", buffer, 560) == (1,)
                self.level = value
                self.calls.append((f"claim {buffer[0]} of chip {self._opened[descriptor]}", value))
                struct.pack_into("=i", buffer, 588, os.dup(descriptor))
            case 0xB40F:
                value, mask = struct.unpack("=QQ", buffer)
                assert mask == 1
                self.level = self.level if self.stuck else value
                self.calls.append(("write", value))
            case 0xB40E:
                struct.pack_into("=QQ", buffer, 0, self.level, 1)
        return 0


@pytest.mark.parametrize("safe", [True, False])
def test_the_line_is_claimed_once_at_its_level_on_the_chip_with_the_headers_label(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, safe: bool
) -> None:
    """From nobody's to the safe level in a single call; kernels number the chips differently, the label stays."""
    kernel = Kernel(monkeypatch, tmp_path, ["gpio-brcmstb@107d508500", "pinctrl-rp1", "other"])
    monkeypatch.setattr(line_module, "DEVICES", str(tmp_path))
    line = OutputLine(17, safe)
    line.write(not safe)
    line.write(safe)
    line.close()
    assert kernel.calls == [("claim 17 of chip 1", safe), ("write", not safe), ("write", safe)]


def test_a_line_that_reads_otherwise_than_it_is_driven_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kernel = Kernel(monkeypatch, tmp_path, ["pinctrl-bcm2711"])
    monkeypatch.setattr(line_module, "DEVICES", str(tmp_path))
    line = OutputLine(17, False)
    kernel.stuck = True
    with pytest.raises(OSError, match="shorted"):
        line.write(True)


def test_without_a_header_it_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(line_module, "DEVICES", str(tmp_path))
    assert main(["--pin", "17", "--locked", "low", "--ceiling", "3", "--relock"]) == 6
    assert "no chip of a Raspberry Pi's header" in capfd.readouterr().err


# ---- The process


def test_its_settings_are_what_the_daemon_calls_them() -> None:
    told = arguments([*SETTINGS.split(), "--heartbeat", "5", "--mock", "--relock"])
    assert settings(told) == f"{SETTINGS} --heartbeat 5 --mock"


def test_users_that_are_not_admitted_are_dropped_at_once(tmp_path: Path) -> None:
    bench = Bench(0)
    bench.keeper.listen(listening(str(tmp_path / "lock.sock")), {os.getuid() + 1})
    assert (tmp_path / "lock.sock").stat().st_mode & 0o777 == 0o660
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stranger:
        stranger.connect(str(tmp_path / "lock.sock"))
        bench.turn()
        assert stranger.recv(100) == b""


def test_admitted_ones_are_served_and_a_flood_of_them_locks_nobody_out(tmp_path: Path) -> None:
    bench = Bench(0)
    bench.keeper.listen(listening(str(tmp_path / "lock.sock")), {os.getuid()})
    clients = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(serve.MAX_CLIENTS + 1)]
    for client in clients:
        client.connect(str(tmp_path / "lock.sock"))
        client.setblocking(False)
        bench.turn()
    assert bench.say(clients[0], "state") == "locked"
    assert bench.say(clients[-1], "state") == ""
    for client in clients:
        client.close()


def test_a_journal_and_a_manager_that_do_not_listen_are_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    telling.notify("READY=1")
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while os.write(writing, b"x" * 4096):
            pass
    except BlockingIOError:
        os.set_blocking(writing, True)
    stderr = os.dup(2)
    try:
        os.dup2(writing, 2)
        telling.say("nobody reads this")
    finally:
        os.dup2(stderr, 2)
        for descriptor in (reading, writing, stderr):
            os.close(descriptor)


def code_lines(path: Path) -> int:
    """Without blank lines, comments and docstrings."""
    source = path.read_text(encoding="utf-8")
    prose: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            prose.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(source.splitlines(), start=1)
    return sum(bool(line.strip()) and line.strip()[0] != "#" and number not in prose for number, line in lines)


def test_what_has_to_be_trusted_can_be_read_in_ten_minutes() -> None:
    assert sum(code_lines(ROOM / name) for name in ("lease.py", "line.py", "serve.py")) < 250


def test_it_imports_the_standard_library_and_nothing_of_the_house_but_its_own_room() -> None:
    for path in ROOM.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.startswith("facelatch.keeper") or name.split(".")[0] in sys.stdlib_module_names, name


def test_it_is_light() -> None:
    """Under 18 MB: its memory is locked, so every page of it is kept from others."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "facelatch.keeper", *SETTINGS.split(), "--mock", "--descriptor", str(its.fileno())]
    environment = {"PYTHONPATH": str(ROOM.parents[1])}
    process = subprocess.Popen(command, pass_fds=[its.fileno()], env=environment, stderr=subprocess.DEVNULL)
    its.close()
    ours.settimeout(30)
    ours.send(f"hello {SETTINGS} --mock".encode())
    assert ours.recv(100) == b"locked"
    (resident,) = re.findall(r"^Rss: +(\d+) kB", Path(f"/proc/{process.pid}/smaps_rollup").read_text(), re.MULTILINE)
    ours.close()
    assert process.wait(30) == 0, "it ends with whoever started it"
    assert int(resident) < 18 * 1024
