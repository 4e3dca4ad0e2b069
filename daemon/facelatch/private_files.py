"""Files that nobody else may read: 0600 whatever the umask, whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from facelatch.errors import FacelatchError, InputError

_WHAT_TO_DO = {
    errno.ENOSPC: "the disk is full: free some space, or name a file on another one",
    errno.EDQUOT: "your quota there is used up: free some space, or name a file elsewhere",
    errno.EROFS: "nothing can be written there: name a file in another folder",
    errno.ENOENT: "check the name; a folder must be there before a file in it",
    errno.ENOTDIR: "check the name: a part of it that should be a folder is a file",
    errno.EIO: "the disk may be failing: look at `dmesg`, name a file on another one",
}


def what_to_do(error: OSError) -> str:
    """What a person can do about a file that the system refuses to read or write."""
    return _WHAT_TO_DO.get(error.errno or 0, "name a file in a folder that you may use")


def create_private(path: Path) -> int:
    """Opens a new file 0600, whatever the umask; returns its descriptor. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    os.fchmod(descriptor, 0o600)
    return descriptor


def open_alone(path: Path) -> int:
    """Opens `path` for one process at a time, made 0600 where it is missing; returns its descriptor.

    Others may have it once the descriptor is closed, also by the kernel when the process dies. Raises BlockingIOError
    where another process has it, OSError.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def sync_directory(directory: Path) -> None:
    """Makes a rename in `directory` survive a power cut. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_private_file(path: Path, data: bytes) -> None:
    """Writes `path` 0600, whole or not at all; replaces what is there. Raises InputError."""
    with private_file(path) as stream:
        stream.write(data)


@contextmanager
def private_file(path: Path) -> Iterator[IO[bytes]]:
    """Where to write what becomes `path` when the block ends, 0600; when it raises nothing has changed.

    Raises InputError for what the system refuses.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with os.fdopen(create_private(draft), "wb") as stream:
            try:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
                draft.replace(path)
            except BaseException:
                draft.unlink(missing_ok=True)
                raise
        sync_directory(path.parent)
    except FacelatchError:
        raise
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}", hint=what_to_do(error)) from error
