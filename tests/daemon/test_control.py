"""The control socket: whatever a client does, the daemon goes on and the next client is served."""

from __future__ import annotations

import contextlib
import fcntl
import grp
import json
import os
import socket
import stat
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facelatch import errors
from facelatch.control import wire
from facelatch.control.client import ControlClient, NobodyThereError, every_page
from facelatch.control.peer import MAX_CLIENTS, MAX_CLIENTS_PER_USER, Peer, Places
from facelatch.control.sealed import MAX_BYTES, read_sealed, seal
from facelatch.control.server import ControlRequest, ControlServer
from facelatch.errors import AlreadyRunningError, ControlError, FacelatchError, GalleryError, InputError

AS_ROOT = os.geteuid() == 0
OWN_GROUP = grp.getgrgid(os.getegid()).gr_name


@dataclass(frozen=True)
class Sent:
    """What the server hands on: the message itself, who sent it, and what came along."""

    message: dict[str, Any]
    peer: Peer
    bulk: bytes | None


def as_sent(message: dict[str, Any], peer: Peer, descriptor: int | None) -> Sent:
    return Sent(message, peer, None if descriptor is None else read_sealed(descriptor))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


@pytest.fixture
def server(path: Path) -> Iterator[ControlServer]:
    running = ControlServer(path, "", as_sent, client_seconds=0.3, answer_seconds=5.0)
    yield running
    running.close()


@pytest.fixture
def elsewhere() -> Iterator[ThreadPoolExecutor]:
    """Where the clients run; the test itself is the daemon's loop."""
    with ThreadPoolExecutor() as pool:
        yield pool


def next_requests(server: ControlServer) -> list[ControlRequest]:
    """Turns like the loop until somebody asks."""
    pause = threading.Event()
    for _ in range(5_000):
        if requests := server.requests():
            return list(requests)
        pause.wait(0.001)
    raise AssertionError("no request arrived")


def next_request(server: ControlServer) -> ControlRequest:
    (request,) = next_requests(server)
    return request


def connected(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(5.0)
    client.connect(str(path))
    return client


def heard(client: socket.socket) -> dict[str, Any]:
    """The reply on a raw connection."""
    with client, client.makefile("rb") as stream:
        return dict(json.loads(stream.readline()))


# Asking and answering


def test_a_request_reaches_the_loop_and_its_reply_the_client(
    server: ControlServer, path: Path, elsewhere: ThreadPoolExecutor
) -> None:
    answer = elsewhere.submit(ControlClient(path).ask, {"action": "status", "name": "Zoë\n"})
    request = next_request(server)
    assert request.asked.message == {"action": "status", "name": "Zoë\n"}
    peer = request.asked.peer
    assert (peer.uid, peer.pid) == (os.geteuid(), os.getpid())
    assert peer.groups == {os.getegid(), *os.getgroups()}
    request.reply({"door": "locked", "who": "Zoë"})
    assert answer.result() == {"door": "locked", "who": "Zoë"}


def test_without_requests_the_loop_does_not_wait(server: ControlServer) -> None:
    assert list(server.requests()) == []


@pytest.mark.parametrize("kind", [GalleryError, InputError, AlreadyRunningError, FacelatchError])
def test_an_error_arrives_as_the_class_it_was_with_its_hint(
    server: ControlServer, path: Path, elsewhere: ThreadPoolExecutor, kind: type[FacelatchError]
) -> None:
    answer = elsewhere.submit(ControlClient(path).ask, {"action": "remove"})
    next_request(server).fail(kind("the disk is full", hint="free some space"))
    with pytest.raises(kind, match="the disk is full") as caught:
        answer.result()
    assert type(caught.value) is kind
    assert caught.value.hint == "free some space"
    assert caught.value.exit_code == kind.exit_code


@pytest.mark.parametrize(
    "reply",
    [
        {"error": {"kind": "os"}},
        {"error": {"kind": "annotations"}},
        {"error": "no"},
        {"error": {}},
        {"error": {"kind": []}},
    ],
)
def test_an_error_of_no_known_class_is_a_control_error(reply: dict[str, Any]) -> None:
    with pytest.raises(ControlError):
        wire.raise_failure(reply)


def test_every_error_class_travels() -> None:
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, FacelatchError)
    ]
    assert len(kinds) >= 9
    for kind in kinds:
        with pytest.raises(kind) as caught:
            wire.raise_failure(json.loads(json.dumps(wire.failure(kind("x", hint="y")))))
        assert type(caught.value) is kind


@pytest.mark.parametrize("size", [0, 1, 100_000, MAX_BYTES])
def test_bulk_travels_both_ways_in_sealed_memory(
    server: ControlServer, path: Path, elsewhere: ThreadPoolExecutor, size: int
) -> None:
    bulk = b"x" * size
    answer = elsewhere.submit(ControlClient(path).fetch, {"action": "import"}, bulk)
    request = next_request(server)
    assert request.asked.bulk == bulk
    request.reply({"count": 1}, bulk)
    assert answer.result() == ({"count": 1}, bulk)


def test_the_largest_request_and_reply_pass(
    server: ControlServer, path: Path, elsewhere: ThreadPoolExecutor
) -> None:
    text = "x" * (wire.MAX_REQUEST_BYTES - 20)
    answer = elsewhere.submit(ControlClient(path).ask, {"name": text})
    request = next_request(server)
    assert request.asked.message == {"name": text}
    request.reply({"names": [text] * 3})
    assert answer.result() == {"names": [text] * 3}


def test_a_second_reply_is_ignored(server: ControlServer, path: Path, elsewhere: ThreadPoolExecutor) -> None:
    answer = elsewhere.submit(ControlClient(path).ask, {})
    request = next_request(server)
    request.reply({"answer": 1})
    request.reply({"answer": 2})
    assert answer.result() == {"answer": 1}


# Clients that do not behave


def silent(client: socket.socket) -> None:
    """Sends nothing."""


def halfway(client: socket.socket) -> None:
    """Stops in the middle of a request."""
    client.sendall(b'{"action": ')


def endless(client: socket.socket) -> None:
    """Sends more than is allowed, without a line break."""
    with contextlib.suppress(OSError):
        client.sendall(b"x" * 300_000)


@pytest.mark.parametrize(
    ("behave", "words"), [(silent, "no whole request"), (halfway, "no whole request"), (endless, "")]
)
def test_a_client_that_does_not_finish_is_told_so_after_its_time(
    server: ControlServer, path: Path, behave: Callable[[socket.socket], None], words: str
) -> None:
    client = connected(path)
    behave(client)
    error = heard(client)["error"]
    assert error["kind"] == "InputError"
    assert words in error["message"]
    assert list(server.requests()) == []


def test_a_request_over_the_limit_is_refused_with_the_reason(server: ControlServer, path: Path) -> None:
    client = connected(path)
    client.sendall(b'"' + b"x" * (wire.MAX_REQUEST_BYTES - 1) + b'"\n')
    assert "larger than" in heard(client)["error"]["message"]


def test_a_reply_over_the_limit_becomes_an_error(
    server: ControlServer, path: Path, elsewhere: ThreadPoolExecutor
) -> None:
    answer = elsewhere.submit(ControlClient(path).ask, {"action": "export"})
    next_request(server).reply({"payload": "x" * wire.MAX_REPLY_BYTES})
    with pytest.raises(InputError, match="the reply is larger"):
        answer.result()


def test_a_silent_client_holds_up_neither_the_loop_nor_another_client(
    path: Path, elsewhere: ThreadPoolExecutor
) -> None:
    running = ControlServer(path, "", as_sent, client_seconds=60.0)
    try:
        with connected(path) as drip:
            drip.sendall(b"{")
            answer = elsewhere.submit(ControlClient(path).ask, {"action": "status"})
            next_request(running).reply({"door": "locked"})
            assert answer.result() == {"door": "locked"}
    finally:
        running.close()


def test_a_client_that_never_reads_its_reply_holds_up_nobody(
    server: ControlServer, path: Path, elsewhere: ThreadPoolExecutor
) -> None:
    with connected(path) as deaf:
        deaf.sendall(b"{}\n")
        next_request(server).reply({"payload": "x" * 90_000})
        answer = elsewhere.submit(ControlClient(path).ask, {})
        next_request(server).reply({"fine": True})
        assert answer.result() == {"fine": True}


def test_a_client_that_left_before_the_answer_does_no_harm(
    server: ControlServer, path: Path, elsewhere: ThreadPoolExecutor
) -> None:
    with connected(path) as hasty:
        hasty.sendall(b"{}\n")
    next_request(server).reply({"too": "late"})
    answer = elsewhere.submit(ControlClient(path).ask, {})
    next_request(server).reply({"fine": True})
    assert answer.result() == {"fine": True}


def test_a_third_client_of_one_user_is_turned_away_and_the_others_are_served(
    path: Path, elsewhere: ThreadPoolExecutor
) -> None:
    running = ControlServer(path, "", as_sent, client_seconds=60.0)
    try:
        waiting = [
            elsewhere.submit(ControlClient(path).ask, {"number": n}) for n in range(MAX_CLIENTS_PER_USER)
        ]
        requests: list[ControlRequest] = []
        while len(requests) < MAX_CLIENTS_PER_USER:
            requests += next_requests(running)
        with pytest.raises(ControlError, match="too many clients"):
            ControlClient(path).ask({})
        for request in requests:
            request.reply(request.asked.message)
        assert sorted(answer.result()["number"] for answer in waiting) == list(range(MAX_CLIENTS_PER_USER))
    finally:
        running.close()


@pytest.mark.slow
def test_whoever_asks_again_at_once_finds_the_place_free(
    path: Path, elsewhere: ThreadPoolExecutor
) -> None:
    """Two clients of one user, each with the next request as soon as it has the reply to the last."""
    running = ControlServer(path, "", as_sent)

    def ask_often() -> int:
        return sum(len(ControlClient(path).ask({"number": number})) for number in range(100))

    try:
        asking = [elsewhere.submit(ask_often) for _ in range(MAX_CLIENTS_PER_USER)]
        while not all(one.done() for one in asking):
            for request in running.requests():
                request.reply(request.asked.message)
        assert [one.result() for one in asking] == [100] * MAX_CLIENTS_PER_USER
    finally:
        running.close()


def test_many_users_together_leave_two_places_to_root() -> None:
    places = Places()
    taken = [uid for uid in range(1, 100) for _ in range(3) if places.take(uid)]
    assert len(taken) == MAX_CLIENTS - MAX_CLIENTS_PER_USER
    assert [places.take(0) for _ in range(3)] == [True, True, False]
    places.release(taken[0])
    assert places.take(77)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=60))
def test_places_are_never_more_than_there_are_and_none_is_lost(steps: list[tuple[int, bool]]) -> None:
    places, held = Places(), Counter[int]()
    for uid, leaves in steps:
        if leaves and held[uid]:
            places.release(uid)
            held[uid] -= 1
        elif not leaves and places.take(uid):
            held[uid] += 1
        others = sum(count for user, count in held.items() if user)
        assert max(held.values(), default=0) <= MAX_CLIENTS_PER_USER
        assert others <= MAX_CLIENTS - MAX_CLIENTS_PER_USER
    for uid in list(held.elements()):
        places.release(uid)
    assert all(places.take(0) for _ in range(MAX_CLIENTS_PER_USER))


def test_without_a_thread_to_spare_a_client_is_dropped_and_the_next_one_served(
    server: ControlServer, path: Path, elsewhere: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is at its limit of threads for more clients than there are places."""
    started = elsewhere.submit(lambda: None)  # its thread is there already
    started.result()
    with monkeypatch.context() as exhausted:
        exhausted.setattr(threading, "Thread", _no_thread)
        for _ in range(MAX_CLIENTS_PER_USER + 1):
            with connected(path) as client:
                assert client.recv(10) == b""
    reply = elsewhere.submit(ControlClient(path).ask, {"action": "status"})
    next_request(server).reply({"door": "locked"})
    assert reply.result() == {"door": "locked"}


def _no_thread(**_: object) -> None:
    raise RuntimeError("can't start new thread")


def test_a_loop_that_does_not_answer_is_reported(path: Path) -> None:
    running = ControlServer(path, "", as_sent, answer_seconds=0.05)
    try:
        with pytest.raises(ControlError, match="did not answer in time") as caught:
            ControlClient(path).ask({})
        assert "may still" in caught.value.hint
    finally:
        running.close()


def test_stopping_tells_whoever_waits(path: Path, elsewhere: ThreadPoolExecutor) -> None:
    running = ControlServer(path, "", as_sent)
    answer: Future[dict[str, Any]] = elsewhere.submit(ControlClient(path).ask, {})
    next_request(running)
    running.close()
    with pytest.raises(ControlError, match="stopping"):
        answer.result()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"hello",
        b"[]",
        b"7",
        b"null",
        b'{"a": NaN}',
        b"\xff\xfe",
        b"[" * 90_000,
        b'{"a":' * 9_000,
        b"9" * 10_000,
    ],
)
def test_what_is_no_json_object_is_answered_with_an_error(
    server: ControlServer, path: Path, line: bytes
) -> None:
    client = connected(path)
    client.sendall(line + b"\n")
    assert heard(client)["error"]["kind"] == "InputError"
    assert list(server.requests()) == []


@given(
    st.binary(max_size=60)
    | st.text(alphabet='{}[]":,0123456789eE+-.\\untrfals \x00é', max_size=40).map(str.encode)
)
def test_any_line_is_an_object_or_an_input_error(line: bytes) -> None:
    try:
        found = wire.decode(line)
    except InputError:
        return
    assert wire.decode(wire.encode(found).rstrip(b"\n")) == found


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.binary(max_size=60))
def test_any_bytes_leave_the_server_serving(server: ControlServer, path: Path, sent: bytes) -> None:
    with connected(path) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        for _ in range(5_000):
            for request in server.requests():
                request.reply({})
            with contextlib.suppress(BlockingIOError):
                client.setblocking(False)
                reply = client.recv(65_536)
                break
            threading.Event().wait(0.0005)
        else:
            raise AssertionError("no reply")
    assert isinstance(json.loads(reply), dict)


# Descriptors


def pipe() -> int:
    reading, writing = os.pipe()
    os.close(writing)
    return reading


def writable() -> int:
    """A memory file that may still change."""
    descriptor = os.memfd_create("x", os.MFD_ALLOW_SEALING)
    os.write(descriptor, b"hello")
    return descriptor


def half_sealed() -> int:
    """It keeps its size, but not its bytes."""
    descriptor = writable()
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    return descriptor


def on_disk() -> int:
    return os.open(__file__, os.O_RDONLY)


def endless_device() -> int:
    return os.open("/dev/zero", os.O_RDONLY)


def folder() -> int:
    return os.open("/", os.O_RDONLY)


def of_a_tmpfs() -> int:
    """A file of such a file system has seals, too; they are not ours."""
    with tempfile.TemporaryFile(dir="/dev/shm") as file:
        return os.dup(file.fileno())


def too_much() -> int:
    descriptor = os.memfd_create("x", os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, MAX_BYTES + 1)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    return descriptor


@pytest.mark.parametrize(
    "make", [pipe, writable, half_sealed, on_disk, endless_device, folder, of_a_tmpfs, too_much]
)
def test_whatever_is_no_sealed_memory_file_of_fair_size_is_refused_and_closed(
    server: ControlServer, path: Path, make: Callable[[], int]
) -> None:
    descriptor = make()
    before = open_descriptors()
    client = connected(path)
    socket.send_fds(client, [b"{}\n"], [descriptor])
    assert heard(client)["error"]["kind"] == "InputError"
    assert list(server.requests()) == []
    assert_back_to(before)
    os.close(descriptor)


def test_a_flood_of_descriptors_is_closed_and_refused(server: ControlServer, path: Path) -> None:
    """Hundreds at once and again and again: none stays open, and the next client is served."""
    before = open_descriptors()
    sealed = seal(b"hello")
    for many in (2, 3, 250):
        client = connected(path)
        for _ in range(5):
            socket.send_fds(client, [b" "], [sealed] * many)
        client.sendall(b"{}\n")
        assert "more than one descriptor" in heard(client)["error"]["message"]
    os.close(sealed)
    assert_back_to(before)


def test_a_client_that_leaves_a_descriptor_and_goes_costs_nothing(server: ControlServer, path: Path) -> None:
    before = open_descriptors()
    sealed = seal(b"hello")
    with connected(path) as client:
        socket.send_fds(client, [b"{"], [sealed])
    os.close(sealed)
    assert_back_to(before)


def test_bytes_are_read_where_they_lie_whatever_the_sender_does_to_the_offset() -> None:
    """A descriptor that was passed shares its offset with the sender's."""
    descriptor = seal(b"hello")
    os.lseek(descriptor, 3, os.SEEK_SET)
    assert read_sealed(descriptor) == b"hello"
    assert os.lseek(descriptor, 0, os.SEEK_CUR) == 3
    os.close(descriptor)


def test_nobody_can_change_what_was_sealed() -> None:
    descriptor = seal(b"hello")
    with pytest.raises(PermissionError):
        os.pwrite(descriptor, b"j", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(descriptor, 0)
    os.close(descriptor)


def open_descriptors() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


def assert_back_to(before: set[str]) -> None:
    """The client's thread may take a moment to end."""
    for _ in range(2_000):
        if len(open_descriptors()) <= len(before):
            return
        threading.Event().wait(0.001)
    raise AssertionError(open_descriptors() - before)


def test_a_fault_of_ours_in_reading_a_request_is_told_without_its_text(path: Path) -> None:
    """It may hold what the client sent."""

    def broken(message: dict[str, Any], peer: Peer, descriptor: int | None) -> object:
        raise KeyError(message["name"])

    running = ControlServer(path, "", broken)
    try:
        with pytest.raises(ControlError, match=r"KeyError") as caught:
            ControlClient(path).ask({"name": "secret"})
        assert "secret" not in str(caught.value)
    finally:
        running.close()


@pytest.mark.parametrize("gone", [True, False])
def test_the_loop_learns_whether_a_client_took_the_answer(server: ControlServer, path: Path, gone: bool) -> None:
    """The audit tells of faces that were given, not of those that were offered to nobody."""
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(path))
    client.sendall(b'{"action": "export"}\n')
    found = server.requests()
    while not found:
        threading.Event().wait(0.002)
        found = server.requests()
    (request,) = found
    assert request.taken is None
    if gone:
        client.close()
    request.reply({})
    for _ in range(2_000):
        if request.taken is not None:
            break
        threading.Event().wait(0.002)
    assert request.taken is not gone
    client.close()


# The socket itself


def test_without_a_group_the_socket_is_the_users_alone(server: ControlServer, path: Path) -> None:
    assert server.shared_with is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_unknown_group_leaves_the_socket_to_the_user_alone(path: Path) -> None:
    running = ControlServer(path, "no-such-group-here", as_sent)
    assert running.shared_with is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    running.close()


def test_a_group_may_connect_and_nobody_else(path: Path) -> None:
    running = ControlServer(path, OWN_GROUP, as_sent)
    details = path.stat()
    assert running.shared_with == OWN_GROUP
    assert (stat.S_IMODE(details.st_mode), details.st_gid) == (0o660, os.getegid())
    running.close()


def test_closing_removes_the_socket_and_another_can_open_there(path: Path) -> None:
    for _ in range(2):
        running = ControlServer(path, "", as_sent)
        running.close()
        running.close()
        assert not path.exists()


def test_a_second_daemon_is_turned_away_and_the_first_goes_on(
    server: ControlServer, path: Path, elsewhere: ThreadPoolExecutor
) -> None:
    with pytest.raises(AlreadyRunningError, match="another daemon answers"):
        ControlServer(path, "", as_sent)
    answer = elsewhere.submit(ControlClient(path).ask, {})
    next_request(server).reply({"still": "here"})
    assert answer.result() == {"still": "here"}


def test_the_socket_of_a_dead_daemon_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    running = ControlServer(path, "", as_sent)
    connected(path).close()
    running.close()


def test_a_file_in_place_of_the_socket_is_never_removed(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(ControlError, match="is no socket"):
        ControlServer(path, "", as_sent)
    assert path.read_text() == "precious"


def test_a_path_too_long_for_a_socket_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="cannot listen"):
        ControlServer(tmp_path / ("x" * 120), "", as_sent)


# A client without a daemon


def test_no_daemon_is_told_with_where_to_look(path: Path) -> None:
    with pytest.raises(NobodyThereError, match="not running") as caught:
        ControlClient(path).ask({})
    assert "systemctl status facelatch" in caught.value.hint


def test_the_socket_of_a_dead_daemon_is_no_daemon(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    with pytest.raises(NobodyThereError):
        ControlClient(path).ask({})


def test_a_client_who_may_not_is_told_which_group_may(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.touch()

    def refuse(self: socket.socket, address: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(ControlError, match="permission denied") as caught:
        ControlClient(path).ask({})
    assert not isinstance(caught.value, NobodyThereError)
    assert f"-aG {OWN_GROUP}" in caught.value.hint


def test_a_daemon_that_keeps_silent_is_not_waited_for_for_ever(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as mute:
        mute.bind(str(path))
        mute.listen()
        with pytest.raises(ControlError, match=r"no answer within 0\.05 s"):
            ControlClient(path).ask({}, timeout_seconds=0.05)


def test_a_request_too_large_to_send_is_not_sent(path: Path) -> None:
    with pytest.raises(InputError, match="larger than 64 KiB"):
        ControlClient(path).ask({"payload": "x" * wire.MAX_REQUEST_BYTES})


def test_every_page_is_asked_for_once_with_where_the_one_before_ended() -> None:
    answers = {None: {"rows": [1, 2], "next": 2}, 2: {"rows": [3], "next": 3}, 3: {"rows": []}}
    asked: list[dict[str, Any]] = []

    def ask(begin: dict[str, Any]) -> dict[str, Any]:
        asked.append(begin)
        return answers[begin.get("after")]

    assert [row for page in every_page(ask, "after") for row in page["rows"]] == [1, 2, 3]
    assert asked == [{}, {"after": 2}, {"after": 3}]
