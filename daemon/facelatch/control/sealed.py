"""Bulk data between processes: in memory files that are sealed, so that nobody can change what was checked."""

from __future__ import annotations

import fcntl
import os
import stat

from facelatch.errors import InputError

MAX_BYTES = 8 * 1024 * 1024
"""Of what one message brings along. More travels in several messages."""

_WHOLE = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
"""With these three seals the kernel lets no one change a byte or the size any more, whoever has it open."""


def seal(data: bytes) -> int:
    """A descriptor of a sealed memory file that holds `data`; the caller closes it. Raises OSError."""
    descriptor = os.memfd_create("facelatch", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        written = 0
        while written < len(data):
            written += os.write(descriptor, memoryview(data)[written:])
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _WHOLE | fcntl.F_SEAL_SEAL)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_sealed(descriptor: int, limit: int = MAX_BYTES) -> bytes:
    """All bytes of a sealed memory file. Never blocks; leaves the descriptor open.

    Raises InputError for everything else a process may pass: a pipe, a file on disk, a memory file that may still
    change, more than `limit` bytes.
    """
    try:
        found = os.fstat(descriptor)
        seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) if stat.S_ISREG(found.st_mode) else 0
    except OSError:  # only memory files have seals
        seals = 0
    if seals & _WHOLE != _WHOLE:
        raise InputError(
            "the descriptor is no sealed memory file",
            hint="memfd_create, write, then F_ADD_SEALS with F_SEAL_WRITE, F_SEAL_SHRINK and F_SEAL_GROW",
        )
    if found.st_size > limit:
        raise InputError(
            f"{found.st_size} bytes in the memory file, at most {limit} are taken at once",
            hint="send it in several requests",
        )
    # By position: the offset of the descriptor belongs to the sender as well, who may move it meanwhile.
    parts, read = [], 0
    while read < found.st_size:
        part = os.pread(descriptor, found.st_size - read, read)
        if not part:
            raise InputError("the memory file cannot be read whole", hint="make it anew and send it again")
        parts.append(part)
        read += len(part)
    return b"".join(parts)
