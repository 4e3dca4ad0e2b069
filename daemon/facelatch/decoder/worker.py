"""The process that decodes pictures: takes their bytes from a socket, sends pixels back, may do nothing else.

A picture may kill its decoder, or make it do what its author wants. So it is decoded where there is nothing to take:
a process of its own that opened no file of ours, has little memory and time, and that the kernel ends first
when memory runs out. `serve` needs a connected stream socket and no more: the reader starts one process with it as
standard input; a systemd unit with `Accept=yes` and `StandardInput=socket` may be made of the same command,

    python -I -m facelatch.decoder.worker

| to the worker | |
|---|---|
| 8 bytes, big endian | how many bytes the picture's file has |
| that many bytes | the file |

| from the worker | |
|---|---|
| `R` | once, when it is ready |
| `P`, width and height in 4 bytes each, then rows of RGB pixels | a picture |
| `E`, a length in 4 bytes, then UTF-8 | why there is none |
"""

from __future__ import annotations

import resource
import signal
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from facelatch.decoder.formats import ALLOWED, MAX_FILE_BYTES

READY, PICTURE, REFUSAL = b"R", b"P", b"E"
SIZE = struct.Struct(">Q")
SHAPE = struct.Struct(">II")
LENGTH = struct.Struct(">I")
MAX_REASON_BYTES = 1000

SECONDS = 30.0
"""For one picture, from its last byte to the last pixel sent. Then the kernel ends the process."""

MEMORY_BYTES = 768 * 1024 * 1024
"""Address space. The largest picture allowed takes 4 bytes a pixel, and as much again while it is turned; of WebP,
whose decoder keeps more copies, what fits has about 35 megapixels."""

_STRIP_PIXELS = 1_000_000
"""Pixels sent at a time: a whole picture as bytes would be one more copy."""


def serve(
    connection: socket.socket,
    *,
    arm: Callable[[float], object] = lambda _seconds: None,
    kinds: Sequence[str] = ALLOWED,
) -> None:
    """Decodes one picture after the other until the other side closes. Raises OSError when it goes away midway.

    `arm` sets the alarm that ends the process after so many seconds, or with 0 stops it. `kinds`: see `decode`.
    """
    from facelatch.decoder.decoding import UnfitError, decode

    connection.sendall(READY)
    while (data := _request(connection)) is not None:
        arm(SECONDS)
        try:
            picture = decode(data, kinds)
        except UnfitError as error:
            reason = str(error).encode("utf-8", "replace")[:MAX_REASON_BYTES]
            connection.sendall(REFUSAL + LENGTH.pack(len(reason)) + reason)
        else:
            connection.sendall(PICTURE + SHAPE.pack(*picture.size))
            for top, bottom in _strips(*picture.size):
                connection.sendall(picture.crop((0, top, picture.width, bottom)).tobytes())
        arm(0)


def _request(connection: socket.socket) -> bytes | None:
    """The next picture's file; None when there is none to come. Raises OSError when it is cut short or too large."""
    head = receive(connection, SIZE.size)
    if not head:
        return None
    (size,) = SIZE.unpack(head)
    if size > MAX_FILE_BYTES:
        raise OSError(f"a request of {size} bytes")
    return receive(connection, size)


def receive(connection: socket.socket, count: int) -> bytes:
    """Exactly `count` bytes, or none at the end. Raises OSError when the end comes midway, or at a time limit."""
    data = bytearray(count)
    view, got = memoryview(data), 0
    while got < count:
        more = connection.recv_into(view[got:])
        if not more and got:
            raise ConnectionResetError("the other side has gone")
        if not more:
            return b""
        got += more
    return bytes(data)


def _strips(width: int, height: int) -> Iterator[tuple[int, int]]:
    rows = max(1, _STRIP_PIXELS // width)
    return ((top, min(top + rows, height)) for top in range(0, height, rows))


def confine(*, threads: bool = False) -> None:
    """Gives up what a decoder needs not: memory, files to write, processes, core dumps. For the whole process.

    `threads`: it makes some, which the kernel counts like processes.
    """
    limits = {
        resource.RLIMIT_AS: MEMORY_BYTES,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    if not threads:
        limits[resource.RLIMIT_NPROC] = 0
    for limit, value in limits.items():
        with suppress(OSError, ValueError):  # lower already
            resource.setrlimit(limit, (value, value))
    with suppress(OSError):  # /proc is hidden in some sandboxes
        Path("/proc/self/oom_score_adj").write_text("1000")


def main(*, with_heic: bool = False) -> None:
    """Serves standard input, a socket; also pictures in HEIC, where that is asked for and the library is there."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal; the reader's end is what counts
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process even inside a decoder
    from facelatch.decoder import decoding, heic  # noqa: F401  (before the limits: imports open files)

    more = heic.prepare() if with_heic and heic.available() else ()
    confine(threads=bool(more))
    with suppress(OSError), socket.socket(fileno=0) as connection:
        arm = lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)  # noqa: E731
        serve(connection, arm=arm, kinds=(*ALLOWED, *more))


if __name__ == "__main__":
    main()
