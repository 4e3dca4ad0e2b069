"""The other end of the control socket: asks the running daemon."""

from __future__ import annotations

import grp
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from facelatch.control import wire
from facelatch.control.sealed import read_sealed
from facelatch.errors import ControlError, InputError


class NobodyThereError(ControlError):
    """No daemon listens: whoever asks may use the gallery directly."""


class ControlClient:
    """Asks the running daemon."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ask(
        self,
        request: dict[str, Any],
        bulk: bytes | None = None,
        *,
        timeout_seconds: float = wire.ANSWER_SECONDS + 10.0,
    ) -> dict[str, Any]:
        """The daemon's reply to one request; `bulk` travels beside it in a sealed memory file.

        Raises what the daemon raised, as the same class with the same hint. Raises NobodyThereError when none
        runs, ControlError when this user may not, or no answer came; InputError for a request too large.
        """
        return self.fetch(request, bulk, timeout_seconds=timeout_seconds)[0]

    def fetch(
        self,
        request: dict[str, Any],
        bulk: bytes | None = None,
        *,
        timeout_seconds: float = wire.ANSWER_SECONDS + 10.0,
    ) -> tuple[dict[str, Any], bytes]:
        """The same, with what came along in a memory file; empty when nothing did."""
        line = wire.encode(request)
        if len(line) > wire.MAX_REQUEST_BYTES:
            raise InputError(
                f"the request is larger than {wire.MAX_REQUEST_BYTES // 1024} KiB", hint="ask for less at a time"
            )
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(timeout_seconds)
                connection.connect(str(self._path))
                with suppress(BrokenPipeError, ConnectionResetError):
                    # A daemon that refuses answers before it has read everything; its reason is read below.
                    wire.send(connection, line, bulk)
                received = wire.receive(connection, timeout_seconds, wire.MAX_REPLY_BYTES)
        except OSError as error:
            raise self._explained(error, timeout_seconds) from error
        try:
            if not received.line:
                raise ControlError(
                    f"{self._path}: closed without an answer", hint="`systemctl status facelatch`"
                )
            reply = wire.decode(received.line)
            wire.raise_failure(reply)
            return reply, read_sealed(received.descriptor) if received.descriptor is not None else b""
        finally:
            if received.descriptor is not None:
                os.close(received.descriptor)

    def _explained(self, error: OSError, timeout_seconds: float) -> ControlError:
        if isinstance(error, FileNotFoundError | ConnectionRefusedError):
            return NobodyThereError(
                f"{self._path}: the daemon is not running",
                hint="`systemctl status facelatch` says why, `systemctl start facelatch` starts it",
            )
        if isinstance(error, PermissionError):
            group = _group_of(self._path)
            return ControlError(
                f"{self._path}: permission denied",
                hint=f"members of group {group} may ask: `sudo usermod -aG {group} $USER`, then log in again",
            )
        if isinstance(error, TimeoutError):
            return ControlError(
                f"{self._path}: no answer within {timeout_seconds:g} s",
                hint="the daemon may still do what was asked; `systemctl status facelatch`",
            )
        return ControlError(f"{self._path}: {error.strerror or error}", hint="`systemctl status facelatch`")


def every_page(ask: Callable[[dict[str, Any]], dict[str, Any]], cursor: str) -> Iterator[dict[str, Any]]:
    """The pages of an answer that has several, each asked for when it is wanted.

    `ask` gets the fields by which the requests differ: none for the first page, then the `next` of the page before as
    the field `cursor`. Raises what `ask` raises.
    """
    begin: dict[str, Any] = {}
    while True:
        page = ask(begin)
        yield page
        if page.get("next") is None:
            return
        begin = {cursor: page["next"]}


def _group_of(path: Path) -> str:
    try:
        return grp.getgrgid(path.stat().st_gid).gr_name
    except (OSError, KeyError):
        return "facelatch"
