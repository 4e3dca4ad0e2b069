"""The key of the ledger's next row, in a file of its own, and the start key until it is noted.

Not in the database, whose journal would keep the keys before: the file is overwritten in place. What a flash card keeps
of an overwritten block is out of reach.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from facelatch.audit.chain import KEY_BYTES
from facelatch.errors import InputError, LedgerError
from facelatch.private_files import open_alone, sync_directory, write_private_file

NAME = "ledger.key"
START_NAME = "ledger.start"

NOT_NOTED_HINT = "`sudo facelatch ledger init` shows it once; keep it away from this device"

_SUM_BYTES = 8
_SIZE = 8 + KEY_BYTES + _SUM_BYTES


class KeyFile:
    """Held exclusively until `close`; so two processes never write one ledger."""

    def __init__(self, directory: Path) -> None:
        """Raises LedgerError when another process has it, OSError."""
        path = directory / NAME
        try:
            self._descriptor = open_alone(path)
        except BlockingIOError as error:
            raise LedgerError(
                f"{path}: another facelatch process writes this ledger", hint="`systemctl status facelatch`"
            ) from error

    def read(self) -> tuple[int, bytes] | None:
        """The number of the next row and its key; None where there is none, or it is damaged. Raises OSError."""
        return _parsed(os.pread(self._descriptor, _SIZE + 1, 0))

    def write(self, seq: int, key: bytes) -> None:
        """Puts the key of row `seq` in place of the one before, on the disk. Raises OSError."""
        body = seq.to_bytes(8, "big") + key
        os.pwrite(self._descriptor, body + _sum(body), 0)
        os.fdatasync(self._descriptor)

    def erase(self) -> None:
        """Leaves no key, as before an epoch begins. Raises OSError."""
        os.pwrite(self._descriptor, bytes(_SIZE), 0)
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Lets others have it; never raises."""
        with suppress(OSError):
            os.close(self._descriptor)


def next_row(directory: Path) -> int | None:
    """The row that the daemon's key is for, None where there is no key. Raises OSError."""
    try:
        found = _parsed((directory / NAME).read_bytes())
    except FileNotFoundError:
        return None
    return found[0] if found else None


def _parsed(data: bytes) -> tuple[int, bytes] | None:
    body = data[: 8 + KEY_BYTES]
    if len(data) != _SIZE or data[8 + KEY_BYTES :] != _sum(body) or not any(body):
        return None
    return int.from_bytes(body[:8], "big"), body[8:]


def _sum(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()[:_SUM_BYTES]


def keep_start_key(directory: Path, key: bytes) -> None:
    """Keeps a start key until somebody has noted it. Raises LedgerError."""
    try:
        write_private_file(directory / START_NAME, key)
    except InputError as error:
        raise LedgerError(str(error), hint=error.hint) from error


def start_key(directory: Path) -> bytes | None:
    """The start key that nobody has noted yet. Raises OSError."""
    try:
        found = (directory / START_NAME).read_bytes()
    except FileNotFoundError:
        return None
    return found if len(found) == KEY_BYTES else None


def is_noted(directory: Path) -> bool:
    """Whether no start key is kept here any more."""
    return not (directory / START_NAME).exists()


def forget_start_key(directory: Path) -> None:
    """Once it is noted: overwrites and removes it. Raises OSError."""
    path = directory / START_NAME
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.pwrite(descriptor, bytes(KEY_BYTES), 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    path.unlink()
    sync_directory(directory)
