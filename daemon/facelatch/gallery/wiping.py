"""Clears the gallery's file of people removed, as far as a file system lets anyone: a little at a time, in place.

SQLite overwrites what it deletes (`secure_delete`), but two places are left: its log holds old pages, and when it
rearranges a page of a table what was there stays behind in the gap between the page's list of rows and its rows. So the
log is emptied, and the gaps are overwritten here. To rewrite the file instead (VACUUM) would take as much memory or
disk again as the gallery has, and minutes in which nobody is let in.
"""

from __future__ import annotations

import os
import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from facelatch.errors import GalleryError
from facelatch.gallery.place import explained
from facelatch.gallery.seal import Tables, atomic

EMPTY_LOG = "PRAGMA wal_checkpoint(TRUNCATE)"
"""Moves the log into the database and cuts it to nothing."""

_FORGET_PAGES = "PRAGMA shrink_memory"
"""SQLite keeps copies of pages; one from before, written again, would bring back what was in its gap."""

SHORT_BYTES = 16 * 1024 * 1024
"""A gallery of some 80 people."""

_CHUNK_BYTES = 1024 * 1024

_HEADER_BYTES = {0x02: 12, 0x05: 12, 0x0A: 8, 0x0D: 8}
"""Of the pages that have rows, by their first byte. All others begin with the number of a page, whose first byte is 0
in a file under 64 GiB."""

_FILE_HEADER_BYTES = 100
"""In front of the header of the first page."""


def is_due(connection: sqlite3.Connection) -> bool:
    """Whether somebody was removed and the files have not been cleared since. Raises sqlite3.Error."""
    return bool(connection.execute("SELECT wipe_due FROM state").fetchone() == (1,))


class Wiping:
    """One way through the file, in steps. Nothing else may use the connection during a step."""

    def __init__(self, path: Path, connection: Tables) -> None:
        """Raises OSError."""
        self._path, self._connection = path, connection
        self.failed = False
        """Whether the last step could not be done."""
        # Open as long as this object: closing it would let go of the locks that SQLite has on the file.
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        self._position = 0

    def restart(self) -> bool:
        """Begins again at the first page, as somebody else has been removed; whether all of it takes a moment only."""
        self._position = 0
        return os.fstat(self._descriptor).st_size <= SHORT_BYTES

    def step(self, may_go_on: Callable[[], bool]) -> bool:
        """Goes on until `may_go_on()` is false, at least a MiB; whether the end was reached: then nothing is due.

        Where it fails nothing but gaps has been written, and the door still has to work: `failed` says so.
        """
        self.failed = True
        with suppress(GalleryError), explained(self._path):
            done = self._cleared(may_go_on)
            if done:
                with atomic(self._connection):
                    self._connection.execute("UPDATE state SET wipe_due = 0")
                self._connection.execute(EMPTY_LOG)
            self.failed = False
            return done
        return False

    def _cleared(self, may_go_on: Callable[[], bool]) -> bool:
        (busy, _, _) = self._connection.execute(EMPTY_LOG).fetchone()
        if busy:
            return False
        (page_size,) = self._connection.execute("PRAGMA page_size").fetchone()
        size = os.fstat(self._descriptor).st_size
        while self._position < size:
            self._clear(page_size)
            if not may_go_on():
                break
        self._connection.execute(_FORGET_PAGES)
        if self._position < size:
            return False
        os.fsync(self._descriptor)
        self._position = 0
        return True

    def _clear(self, page_size: int) -> None:
        chunk = os.pread(self._descriptor, _CHUNK_BYTES, self._position)
        for start, end in gaps(chunk, page_size, first=self._position == 0):
            if any(chunk[start:end]):
                os.pwrite(self._descriptor, bytes(end - start), self._position + start)
        self._position += max(len(chunk), 1)

    def close(self) -> None:
        """After the connection."""
        with suppress(OSError):
            os.close(self._descriptor)


def gaps(pages: bytes, page_size: int, *, first: bool) -> Iterator[tuple[int, int]]:
    """Where in whole `pages` nothing is kept, as start and end. `first`: the first page of the file is among them."""
    for page in range(0, len(pages) - page_size + 1, page_size):
        header = page + (_FILE_HEADER_BYTES if first and page == 0 else 0)
        if pages[header] not in _HEADER_BYTES:
            continue
        rows, content = struct.unpack_from(">HH", pages, header + 3)
        start = header + _HEADER_BYTES[pages[header]] + 2 * rows
        end = page + (content or 65_536)
        if start < end <= page + page_size:
            yield start, end
