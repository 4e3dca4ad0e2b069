"""The control socket: whatever a client does, the daemon goes on and the next client is served."""

from __future__ import annotations

import contextlib
import grp
import json
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facelatch import errors
from facelatch.control import wire
from facelatch.control.client import ControlClient, NobodyThereError
from facelatch.control.server import MAX_CLIENTS, ControlRequest, ControlServer
from facelatch.errors import AlreadyRunningError, ControlError, FacelatchError, GalleryError, InputError

AS_ROOT = os.geteuid() == 0
OWN_GROUP = grp.getgrgid(os.getegid()).gr_name


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


@pytest.fixture
def server(path: Path) -> Iterator[ControlServer]:
    running = ControlServer(path, "", client_seconds=0.3, answer_seconds=5.0, max_message_bytes=100_000)
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
    assert request.message == {"action": "status", "name": "Zoë\n"}
    assert (request.peer.uid, request.peer.gid, request.peer.pid) == (os.geteuid(), os.getegid(), os.getpid())
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


def test_a_large_request_and_reply_pass(path: Path, elsewhere: ThreadPoolExecutor) -> None:
    running = ControlServer(path, "")
    try:
        payload = "x" * (4 * 2**20)
        answer = elsewhere.submit(ControlClient(path).ask, {"payload": payload})
        request = next_request(running)
        assert request.message["payload"] == payload
        request.reply({"payload": payload})
        assert answer.result() == {"payload": payload}
    finally:
        running.close()


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
    client.sendall(b'"' + b"x" * 150_000 + b'"\n')
    assert "larger than" in heard(client)["error"]["message"]


def test_a_reply_over_the_limit_becomes_an_error(
    server: ControlServer, path: Path, elsewhere: ThreadPoolExecutor
) -> None:
    answer = elsewhere.submit(ControlClient(path).ask, {"action": "export"})
    next_request(server).reply({"payload": "x" * 150_000})
    with pytest.raises(InputError, match="the reply is larger"):
        answer.result()


def test_a_silent_client_holds_up_neither_the_loop_nor_another_client(
    path: Path, elsewhere: ThreadPoolExecutor
) -> None:
    running = ControlServer(path, "", client_seconds=60.0)
    try:
        with connected(path), connected(path) as drip:
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


def test_one_client_too_many_is_turned_away_and_the_others_are_served(
    path: Path, elsewhere: ThreadPoolExecutor
) -> None:
    running = ControlServer(path, "", client_seconds=60.0)
    try:
        waiting = [elsewhere.submit(ControlClient(path).ask, {"number": n}) for n in range(MAX_CLIENTS)]
        requests: list[ControlRequest] = []
        while len(requests) < MAX_CLIENTS:
            requests += next_requests(running)
        with pytest.raises(ControlError, match="too many clients"):
            ControlClient(path).ask({})
        for request in requests:
            request.reply(request.message)
        assert sorted(answer.result()["number"] for answer in waiting) == list(range(MAX_CLIENTS))
    finally:
        running.close()


def test_without_a_thread_to_spare_a_client_is_dropped_and_the_next_one_served(
    server: ControlServer, path: Path, elsewhere: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is at its limit of threads for more clients than there are places."""
    started = elsewhere.submit(lambda: None)  # its thread is there already
    started.result()
    with monkeypatch.context() as exhausted:
        exhausted.setattr(threading, "Thread", _no_thread)
        for _ in range(MAX_CLIENTS + 1):
            with connected(path) as client:
                assert client.recv(10) == b""
    reply = elsewhere.submit(ControlClient(path).ask, {"action": "status"})
    next_request(server).reply({"door": "locked"})
    assert reply.result() == {"door": "locked"}


def _no_thread(**_: object) -> None:
    raise RuntimeError("can't start new thread")


def test_a_loop_that_does_not_answer_is_reported(path: Path) -> None:
    running = ControlServer(path, "", answer_seconds=0.05)
    try:
        with pytest.raises(ControlError, match="did not answer in time") as caught:
            ControlClient(path).ask({})
        assert "may still" in caught.value.hint
    finally:
        running.close()


def test_stopping_tells_whoever_waits(path: Path, elsewhere: ThreadPoolExecutor) -> None:
    running = ControlServer(path, "")
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


# The socket itself


def test_without_a_group_the_socket_is_the_users_alone(server: ControlServer, path: Path) -> None:
    assert server.shared_with is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_unknown_group_leaves_the_socket_to_the_user_alone(path: Path) -> None:
    running = ControlServer(path, "no-such-group-here")
    assert running.shared_with is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    running.close()


def test_a_group_may_connect_and_nobody_else(path: Path) -> None:
    running = ControlServer(path, OWN_GROUP)
    details = path.stat()
    assert running.shared_with == OWN_GROUP
    assert (stat.S_IMODE(details.st_mode), details.st_gid) == (0o660, os.getegid())
    running.close()


def test_closing_removes_the_socket_and_another_can_open_there(path: Path) -> None:
    for _ in range(2):
        running = ControlServer(path, "")
        running.close()
        running.close()
        assert not path.exists()


def test_a_second_daemon_is_turned_away_and_the_first_goes_on(
    server: ControlServer, path: Path, elsewhere: ThreadPoolExecutor
) -> None:
    with pytest.raises(AlreadyRunningError, match="another daemon answers"):
        ControlServer(path, "")
    answer = elsewhere.submit(ControlClient(path).ask, {})
    next_request(server).reply({"still": "here"})
    assert answer.result() == {"still": "here"}


def test_the_socket_of_a_dead_daemon_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    running = ControlServer(path, "")
    connected(path).close()
    running.close()


def test_a_file_in_place_of_the_socket_is_never_removed(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(ControlError, match="is no socket"):
        ControlServer(path, "")
    assert path.read_text() == "precious"


def test_a_path_too_long_for_a_socket_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="cannot listen"):
        ControlServer(tmp_path / ("x" * 120), "")


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


def test_a_request_too_large_to_send_is_not_sent(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_MESSAGE_BYTES", 2**20)
    with pytest.raises(InputError, match="larger than 1 MiB") as caught:
        ControlClient(path).ask({"payload": "x" * 2**20})
    assert "stop the daemon" in caught.value.hint
