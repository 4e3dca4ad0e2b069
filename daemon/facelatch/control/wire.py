"""How requests, replies and errors travel over the control socket: JSON, one object on a line each."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

from facelatch import errors
from facelatch.errors import ControlError, FacelatchError, InputError

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""Of a request or a reply: an export of about 300 people."""

ANSWER_SECONDS = 60.0
"""The loop has this long to answer."""

_CHUNK_BYTES = 256 * 1024


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


def read_line(connection: socket.socket, timeout_seconds: float, limit: int) -> bytes:
    """What comes before the first line break or the end; time limit for all of it together.

    Raises TimeoutError, OSError; InputError when there are more than `limit` bytes, once all are taken in:
    a sender still sending would not see the reply.
    """
    deadline = time.monotonic() + timeout_seconds
    line, size = bytearray(), 0
    while True:
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        chunk = connection.recv(_CHUNK_BYTES)
        part, end, _ = chunk.partition(b"\n")
        size += len(part)
        if size <= limit:
            line += part
        if end or not chunk:
            break
        if time.monotonic() > deadline:
            raise TimeoutError
    if size > limit:
        raise too_large("the message", limit)
    return bytes(line)


def too_large(what: str, limit: int) -> InputError:
    """The error about a message over the limit."""
    return InputError(
        f"{what} is larger than {limit // 2**20} MiB",
        hint="export or import some people at a time, or stop the daemon: without it there is no such limit",
    )
