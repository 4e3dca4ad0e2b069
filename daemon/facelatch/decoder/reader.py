"""Pictures from outside as arrays: decoded by a worker process, which is replaced when a picture kills it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import weakref
from contextlib import closing, suppress
from pathlib import Path

import numpy as np

from facelatch.decoder import worker
from facelatch.decoder.files import picture_bytes
from facelatch.decoder.formats import MAX_PIXELS, MAX_SIDE_PX
from facelatch.errors import FacelatchError, InputError
from facelatch.values.pictures import Image

PATIENCE_SECONDS = worker.SECONDS + 10
"""For one picture together with its way to the worker and back."""

START_SECONDS = 30.0

_DYING_SECONDS = 1.0

_HOME = str(Path(__file__).resolve().parents[2])
"""Where this package lies: of an installation that can be edited the path does not tell."""

_PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from facelatch.decoder import worker; worker.main({})"
"""Imports what this process would, from wherever that found it, and reads no settings of the user's Python."""


def read_image(path: Path) -> Image:
    """One picture, as `PictureReader.read`. Whoever reads several keeps a reader, and so its worker."""
    with closing(PictureReader()) as reader:
        return reader.read(path)


class PictureReader:
    """Reads pictures one after the other; `close` it, or let it go. For one thread.

    The worker starts with the first picture, which takes some tenths of a second, and serves all that follow: these
    take little more than their decoding.
    """

    def __init__(self, *, heic: bool = False) -> None:
        """`heic`: `decode` also takes what phones take, where pillow-heif is installed; `read` never does."""
        self._worker: _Worker | None = None
        self._heic = heic

    def read(self, path: Path) -> Image:
        """The picture in `path` as RGB (H, W, 3), upright. Raises InputError that names it, and says why it is not
        read: no picture file, damaged, too large, or its decoder did not survive it.
        """
        return self.decode(picture_bytes(path), str(path))

    def decode(self, data: bytes, name: str) -> Image:
        """The same for bytes in memory; `name` is what errors call them. Raises FacelatchError without Pillow."""
        if self._worker is None or self._worker.process.poll() is not None:
            self.close()
            self._worker = _Worker(heic=self._heic)
        try:
            return self._worker.decode(data)
        except _UnfitError as error:
            raise InputError(f"{name}: {error}", hint=_what_to_do(str(error))) from error
        except OSError as error:
            cause = self._worker.cause_of_death()
            self.close()
            raise InputError(f"{name}: {cause}", hint="it is damaged, or made to do harm") from error

    def close(self) -> None:
        """Ends the worker; never raises. The next picture starts another."""
        if self._worker is not None:
            self._worker.end()
            self._worker = None


def _what_to_do(reason: str) -> str:
    """About a picture that the worker refused with these words of `decoding`."""
    if "megapixels" in reason:
        return "make it smaller"
    if "cut short" in reason:
        return "copy or download it again"
    return "save it as JPEG from a program that can open it"


class _UnfitError(Exception):
    """The worker says why the picture is not decoded."""


class _Worker:
    """The process, and this end of its socket."""

    def __init__(self, *, heic: bool) -> None:
        """Starts it. Raises FacelatchError when it does not come up."""
        program = _PROGRAM.format("with_heic=True" if heic else "")
        self.connection, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", program, _HOME, *filter(None, sys.path)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
            )
        self._finalizer = weakref.finalize(self, _end, self.process, self.connection)
        self.connection.settimeout(START_SECONDS)
        try:
            came_up = worker.receive(self.connection, 1) == worker.READY
        except OSError:
            came_up = False
        if not came_up:
            self.end()
            raise FacelatchError(
                "the picture decoder does not start", hint="is Pillow there? pip install pillow"
            )

    def decode(self, data: bytes) -> Image:
        """The pixels (H, W, 3). Raises _UnfitError, or OSError when the worker dies, hangs or talks nonsense."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        self.connection.settimeout(PATIENCE_SECONDS)
        self.connection.sendall(worker.SIZE.pack(len(data)))
        self.connection.sendall(data)
        kind = self._receive(1, deadline)
        if kind == worker.REFUSAL:
            raise _UnfitError(self._reason(deadline))
        width, height = worker.SHAPE.unpack(self._receive(worker.SHAPE.size, deadline))
        # A worker that a picture has taken over may say anything.
        if kind != worker.PICTURE or not 0 < width * height <= MAX_PIXELS or max(width, height) > MAX_SIDE_PX:
            raise OSError("nonsense from the worker")
        pixels = np.empty((height, width, 3), dtype=np.uint8)
        self._receive_into(pixels.data.cast("B"), deadline)
        return pixels

    def _reason(self, deadline: float) -> str:
        (length,) = worker.LENGTH.unpack(self._receive(worker.LENGTH.size, deadline))
        if length > worker.MAX_REASON_BYTES:
            raise OSError("nonsense from the worker")
        return self._receive(length, deadline).decode("utf-8", "replace")

    def _receive(self, count: int, deadline: float) -> bytes:
        data = bytearray(count)
        self._receive_into(memoryview(data), deadline)
        return bytes(data)

    def _receive_into(self, view: memoryview, deadline: float) -> None:
        while view:
            self.connection.settimeout(max(deadline - time.monotonic(), 0.001))
            got = self.connection.recv_into(view)
            if not got:
                raise ConnectionResetError("the worker has gone")
            view = view[got:]

    def cause_of_death(self) -> str:
        """How it ended, in words, when it ended by itself."""
        with suppress(subprocess.TimeoutExpired):  # the socket closes a moment before the process is gone
            self.process.wait(_DYING_SECONDS)
        status = self.process.returncode
        if status == -signal.SIGALRM:
            return f"takes longer than {worker.SECONDS:.0f} s to decode"
        if status is not None and status < 0:
            return f"its decoder died of it ({signal.Signals(-status).name})"
        return "its decoder failed"

    def end(self) -> None:
        """Ends the process; never raises."""
        self._finalizer()


def _end(process: subprocess.Popen[bytes], connection: socket.socket) -> None:
    connection.close()
    process.kill()
    process.wait()
