"""The daemon's end of the control socket: one JSON object on a line, one on a line back, over a UNIX socket."""

from __future__ import annotations

import grp
import os
import queue
import socket
import stat
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from facelatch.control import wire
from facelatch.control.peer import Peer, Places, peer_of
from facelatch.errors import AlreadyRunningError, ControlError, FacelatchError, InputError

CLIENT_SECONDS = 5.0
"""A client has this long to send its request, and again to take the reply."""

BACKLOG = 64

Intake = Callable[[dict[str, Any], Peer, int | None], Any]
"""From a message, its sender and the descriptor that came along to what the loop is given. Called on the client's
thread, with no hurry; raises FacelatchError for what needs no loop to be refused."""


class ControlRequest:
    """One request, waiting for the loop's answer."""

    def __init__(self, asked: Any) -> None:
        self.asked = asked
        """What the intake made of it."""
        self._answer: queue.SimpleQueue[tuple[dict[str, Any], bytes | None]] = queue.SimpleQueue()
        self.taken: bool | None = None
        """Whether the client took the answer; None: not known yet."""

    def reply(self, answer: dict[str, Any], bulk: bytes | None = None) -> None:
        """Answers, with `bulk` in a memory file; the first answer counts. Never blocks, never raises."""
        self._answer.put((answer, bulk))

    def fail(self, error: FacelatchError) -> None:
        """Answers with an error, which the client raises."""
        self.reply(wire.failure(error))

    def wait(self, timeout_seconds: float) -> tuple[dict[str, Any], bytes | None]:
        """The answer. Raises queue.Empty. For the client's thread."""
        return self._answer.get(timeout=timeout_seconds)


class ControlServer:
    """Listens from construction to `close`. One thread accepts; one per client waits for it to send and read."""

    def __init__(
        self,
        path: Path,
        group: str,
        intake: Intake,
        *,
        client_seconds: float = CLIENT_SECONDS,
        answer_seconds: float = wire.ANSWER_SECONDS,
    ) -> None:
        """Makes the socket at `path`, for members of `group` (empty or unknown: for this user alone).

        Raises AlreadyRunningError when another daemon answers there, ControlError when it cannot be made.
        """
        self._path, self._intake = path, intake
        self._client_seconds, self._answer_seconds = client_seconds, answer_seconds
        self._waiting: queue.SimpleQueue[ControlRequest] = queue.SimpleQueue()
        self._open: set[ControlRequest] = set()
        self._places = Places()
        self._closing = threading.Event()
        try:
            _remove_stale(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.bind(str(path))
            self.shared_with = _restrict(path, group)
            """The group that may connect; None: this user alone."""
            # Before this nobody can connect, so the permissions are never wider than meant.
            self._socket.listen(BACKLOG)
        except ControlError:
            raise
        except OSError as error:
            raise ControlError(
                f"{path}: cannot listen: {error.strerror or error}",
                hint="control.socket must lie in a directory this user may write to, such as /run/facelatch",
            ) from error
        self._inode = path.stat().st_ino
        self._thread = threading.Thread(target=self._accept, name="control", daemon=True)
        self._thread.start()

    def requests(self) -> Sequence[ControlRequest]:
        """What has come in since the last call; never blocks."""
        found = []
        with suppress(queue.Empty):
            while True:
                found.append(self._waiting.get_nowait())
        return found

    def close(self) -> None:
        """Ends the service, tells whoever waits, and removes the socket; never raises."""
        self._closing.set()
        with suppress(OSError):
            # Wakes the thread in accept; closing alone would not.
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=1.0)
        self._socket.close()
        for request in list(self._open):
            request.fail(ControlError("the daemon is stopping", hint="ask again when it runs"))
        with suppress(OSError):
            if self._path.lstat().st_ino == self._inode:
                self._path.unlink()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._socket.accept()
            except OSError:
                # Closed, or out of file descriptors: then a moment without clients helps.
                self._closing.wait(0.1)
                continue
            try:
                self._admit(client)
            except OSError:  # it has gone already
                client.close()

    def _admit(self, client: socket.socket) -> None:
        """Gives a client a thread of its own, or turns it away. Raises OSError."""
        peer = peer_of(client)
        if not self._places.take(peer.uid):
            busy = ControlError("the daemon serves too many clients at once", hint="ask again in a moment")
            with client:
                client.setblocking(False)
                client.send(wire.encode(wire.failure(busy)))
            return
        try:
            threading.Thread(
                target=self._serve, args=(client, peer), name="control-client", daemon=True
            ).start()
        except RuntimeError:  # no thread to be had: this client goes, the next may find one
            self._places.release(peer.uid)
            client.close()

    def _serve(self, client: socket.socket, peer: Peer) -> None:
        with ExitStack() as place, suppress(OSError), client:
            place.callback(self._places.release, peer.uid)
            request = self._read(client, peer)
            if not isinstance(request, ControlRequest):
                self._send(client, place, wire.failure(request))
                return
            answer, bulk = self._answered(request)
            try:
                self._send(client, place, answer, bulk, request)
            finally:
                if request.taken is None:
                    request.taken = False

    def _send(
        self,
        client: socket.socket,
        place: ExitStack,
        answer: dict[str, Any],
        bulk: bytes | None = None,
        request: ControlRequest | None = None,
    ) -> None:
        """Sends the answer, or why it is too large; notes in `request` that the client took it. Raises OSError."""
        data = wire.encode(answer)
        if len(data) > wire.MAX_REPLY_BYTES:
            data = wire.encode(wire.failure(wire.too_large("the reply", wire.MAX_REPLY_BYTES)))
            bulk = request = None
        client.settimeout(self._client_seconds)
        sent = wire.begin(client, data[:-1], bulk)
        if request is not None and request.taken is None:
            # From here on a client that goes away may have the file, and the rest as well.
            request.taken = True
        wire.send_rest(client, data[sent:-1])
        # Before the end of the line: whoever has read that may ask again at once, and finds the place free.
        place.close()
        client.sendall(data[-1:])

    def _read(self, client: socket.socket, peer: Peer) -> ControlRequest | FacelatchError:
        """One request; every fault of the client becomes an error to tell it. Raises OSError."""
        try:
            return ControlRequest(self._taken_in(client, peer))
        except FacelatchError as error:
            return error
        except TimeoutError:
            return InputError(f"no whole request within {self._client_seconds:g} s", hint="end it with a line break")
        except Exception as error:  # ours; its text may hold what the client sent
            return ControlError(f"the daemon cannot read this request ({type(error).__name__})")

    def _answered(self, request: ControlRequest) -> tuple[dict[str, Any], bytes | None]:
        """Waits for the loop."""
        self._open.add(request)
        try:
            self._waiting.put(request)
            return request.wait(self._answer_seconds)
        except queue.Empty:
            request.taken = False
            late = ControlError("the daemon did not answer in time", hint="it may still do what was asked")
            return wire.failure(late), None
        finally:
            self._open.discard(request)

    def _taken_in(self, client: socket.socket, peer: Peer) -> Any:
        received = wire.receive(client, self._client_seconds, wire.MAX_REQUEST_BYTES)
        try:
            return self._intake(wire.decode(received.line), peer, received.descriptor)
        finally:
            if received.descriptor is not None:
                os.close(received.descriptor)


def _restrict(path: Path, group: str) -> str | None:
    """Opens the socket to `group` if there is one and we may; else to this user alone. Raises OSError."""
    try:
        if not group:
            raise KeyError(group)
        os.chown(path, -1, grp.getgrnam(group).gr_gid)
    except (KeyError, PermissionError):
        path.chmod(0o600)
        return None
    path.chmod(0o660)
    return group


def _remove_stale(path: Path) -> None:
    """Removes the socket of a daemon that died. Raises AlreadyRunningError, ControlError, OSError."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise ControlError(f"{path}: exists and is no socket", hint="move it away, or change control.socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise AlreadyRunningError(
        f"{path}: another daemon answers", hint="`systemctl status facelatch`; stop that one first"
    )
