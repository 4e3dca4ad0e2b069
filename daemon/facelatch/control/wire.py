"""How requests, replies and errors travel over the control socket: JSON, one object on a line each.

A message may bring one descriptor along (SCM_RIGHTS), of a sealed memory file with what is too large for a line.
"""

from __future__ import annotations

import array
import json
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from facelatch import errors
from facelatch.control.sealed import seal
from facelatch.errors import ControlError, FacelatchError, InputError

MAX_REQUEST_BYTES = 64 * 1024
MAX_REPLY_BYTES = 256 * 1024

ANSWER_SECONDS = 60.0
"""The loop has this long to answer."""

_CHUNK_BYTES = 64 * 1024

_ROOM_FOR_ONE = socket.CMSG_LEN(array.array("i").itemsize)
"""Of a control message with one descriptor. CMSG_SPACE would be padded: the kernel would put a second one there."""


@dataclass(frozen=True, slots=True)
class Received:
    """One message."""

    line: bytes
    descriptor: int | None
    """What came along, for the receiver to close."""


def failure(error: FacelatchError) -> dict[str, Any]:
    """The reply that makes the client raise `error`."""
    return {"error": {"kind": type(error).__name__, "message": str(error), "hint": error.hint}}


def raise_failure(reply: dict[str, Any]) -> None:
    """Raises the error a reply carries, as the class it was; a class unknown here becomes ControlError."""
    fault = reply.get("error")
    if fault is None:
        return
    if not isinstance(fault, dict):
        raise ControlError(f"the daemon reported an error that is none: {fault!r:.200}")
    kind = getattr(errors, str(fault.get("kind")), None)
    if not (isinstance(kind, type) and issubclass(kind, FacelatchError)):
        kind = ControlError
    raise kind(str(fault.get("message")), hint=str(fault.get("hint") or ""))


def decode(line: bytes) -> dict[str, Any]:
    """The JSON object in `line`. Raises InputError for anything else, whatever the bytes."""
    try:
        found = json.loads(line, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not a JSON object: {error}", hint="send one JSON object on one line") from error
    if not isinstance(found, dict):
        raise InputError("not a JSON object", hint='such as {"action": "status"}')
    return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def encode(message: dict[str, Any]) -> bytes:
    """The line that `decode` reads."""
    return json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"


def send(connection: socket.socket, line: bytes, bulk: bytes | None = None) -> None:
    """Sends a line and, where there is `bulk`, a sealed memory file with it. Raises OSError, TimeoutError."""
    send_rest(connection, line[begin(connection, line, bulk) :])


def begin(connection: socket.socket, line: bytes, bulk: bytes | None = None) -> int:
    """Sends the beginning of `line`, with it the memory file, and returns how many bytes. Raises OSError, TimeoutError.

    When it raises the other end has got nothing.
    """
    if bulk is None:
        return connection.send(line)
    descriptor = seal(bulk)
    try:
        return socket.send_fds(connection, [line], [descriptor])
    finally:
        os.close(descriptor)


def send_rest(connection: socket.socket, rest: bytes) -> None:
    """Sends what `begin` left. Raises OSError, TimeoutError."""
    if rest:  # of nothing, too, sendall would say that the reader has gone
        connection.sendall(rest)


def receive(connection: socket.socket, timeout_seconds: float, limit: int) -> Received:
    """What comes before the first line break or the end; time limit for all of it together.

    Raises TimeoutError, OSError. Raises InputError when there are more than `limit` bytes, or more than one
    descriptor, once all is taken in: a sender still sending would not see the reply. Keeps no descriptor then.
    """
    deadline = time.monotonic() + timeout_seconds
    line, size, flood = bytearray(), 0, False
    with _closed_on_error() as descriptors:
        while True:
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
            chunk, ancillary, flags, _ = connection.recvmsg(_CHUNK_BYTES, _ROOM_FOR_ONE, socket.MSG_CMSG_CLOEXEC)
            descriptors += _descriptors(ancillary)
            flood |= bool(flags & socket.MSG_CTRUNC) or len(descriptors) > 1
            if flood:  # those of one message at a time, or a sender could fill our table
                _close(descriptors)
            part, end, _ = chunk.partition(b"\n")
            size += len(part)
            if size <= limit:
                line += part
            if end or not chunk:
                break
            if time.monotonic() > deadline:
                raise TimeoutError
        if flood:
            raise InputError("more than one descriptor came along", hint="send one, or none")
        if size > limit:
            raise too_large("the message", limit)
    return Received(bytes(line), descriptors[0] if descriptors else None)


@contextmanager
def _closed_on_error() -> Iterator[list[int]]:
    descriptors: list[int] = []
    try:
        yield descriptors
    except BaseException:
        _close(descriptors)
        raise


def _close(descriptors: list[int]) -> None:
    while descriptors:
        with suppress(OSError):
            os.close(descriptors.pop())


def _descriptors(ancillary: Sequence[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return list(found)


def too_large(what: str, limit: int) -> InputError:
    """The error about a message over the limit."""
    return InputError(
        f"{what} is larger than {limit // 1024} KiB",
        hint="this client is older than the daemon: update it; pictures and export files travel by descriptor",
    )
