"""Clearing the files of the gallery of people who were removed, and what can be said about it."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path

from facelatch.errors import GalleryError
from facelatch.gallery.place import explained

_EMPTY_LOG = "PRAGMA wal_checkpoint(TRUNCATE)"
"""Moves the log into the database and cuts it to nothing."""


def is_due(connection: sqlite3.Connection) -> bool:
    """Whether somebody was removed and the files have not been cleared since. Raises sqlite3.Error."""
    return bool(connection.execute("SELECT wipe_due FROM state").fetchone() == (1,))


def wipe_if_due(connection: sqlite3.Connection, path: Path) -> bool:
    """Clears the files of people removed, as far as a file system lets anyone; whether it did so now.

    secure_delete has zeroed their rows, but the log still holds old pages, and pages that were rearranged
    may hold stale copies. So the zeros are written in place, then the file is rewritten without gaps.
    Where that fails the door still has to work: `is_due` stays true for the next opening.
    """
    with suppress(GalleryError), explained(path):
        if is_due(connection):
            for statement in (_EMPTY_LOG, "VACUUM", _EMPTY_LOG, "UPDATE state SET wipe_due = 0"):
                connection.execute(statement)
            return True
    return False
