"""Where the gallery lies: a private directory, one owner at a time, and faults in words."""

from __future__ import annotations

import errno
import os
import re
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from facelatch.errors import AlreadyRunningError, GalleryError
from facelatch.private_files import open_alone

RESTORE = (
    "keep the damaged file, move it away, then restore from an export: `facelatch people import FILE`;"
    " without an export everybody enrols again"
)

_WRITABLE = (
    "the state directory must be writable: check the mount, and storage.state_directory in facelatch.toml"
)

_SPACE = "free some space, then try again; nothing was changed"

_LEAST_BYTES = 64 * 1024
"""Free space with which SQLite cannot even open a database: the memory it shares beside it takes 32 KiB."""

MOUNTS = Path("/proc/self/mountinfo")
"""What is mounted where, as the kernel tells it."""

_VOLATILE = frozenset({"tmpfs", "ramfs", "overlay", "overlayfs", "aufs"})
"""File systems that may forget at the next start what was written: of a tmpfs nothing is left, and of an overlay what
lies under it, with everybody who was removed since."""

_NO_RIGHTS = (
    "it knows no owners and no rights, so others may read the faces, and a power cut may leave files that are damaged"
)
_ON_A_NETWORK = "its locks and its order of writing are another machine's, and without the network there is no door"

_BROKEN = {
    **dict.fromkeys(("vfat", "msdos", "exfat", "ntfs", "ntfs3", "fuseblk"), _NO_RIGHTS),
    **dict.fromkeys(("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "virtiofs", "ceph"), _ON_A_NETWORK),
    **dict.fromkeys(("squashfs", "erofs", "iso9660"), "it cannot be written"),
}
"""What a file system cannot promise that keeps what is written."""

VOLATILE_HINT = (
    "put storage.state_directory on a partition of its own that is written to the card, outside the overlay"
)

_HARDWARE = "the storage may be failing: look at `dmesg`, replace the card, restore from an export"

_SQLITE_FAULTS = {
    sqlite3.SQLITE_FULL: ("the disk is full", _SPACE),
    sqlite3.SQLITE_READONLY: ("cannot be written, it is read-only", _WRITABLE),
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened", _WRITABLE),
    sqlite3.SQLITE_PERM: ("permission denied", _WRITABLE),
    sqlite3.SQLITE_BUSY: (
        "another program holds it locked",
        "close whatever else has it open, such as a sqlite3 shell",
    ),
    sqlite3.SQLITE_CORRUPT: ("damaged", RESTORE),
    sqlite3.SQLITE_NOTADB: ("damaged: not a database", RESTORE),
    sqlite3.SQLITE_IOERR: ("reading or writing failed", _HARDWARE),
}

_SYSTEM_FAULTS = {
    errno.ENOSPC: ("the disk is full", _SPACE),
    errno.EDQUOT: ("the disk quota is used up", _SPACE),
    errno.EROFS: ("cannot be written, it is read-only", _WRITABLE),
    errno.ENOENT: ("is not there, and cannot be made", _WRITABLE),
    errno.EACCES: (
        "permission denied",
        "run it as the user that owns the directory, usually `sudo -u facelatch`",
    ),
    errno.EIO: ("reading or writing failed", _HARDWARE),
}


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns what SQLite and the system raise inside into a GalleryError about `path` with a hint."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0)
        # Extended codes carry the primary one in their low byte.
        fault, hint = _SQLITE_FAULTS.get(code & 0xFF, ("failed", _HARDWARE))
        if code & 0xFF in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and _is_full(path):
            fault, hint = _SQLITE_FAULTS[sqlite3.SQLITE_FULL]  # for its shared memory SQLite says no more than that
        raise GalleryError(f"{path}: {fault} ({error})", hint=hint) from error
    except OSError as error:
        fault, hint = _SYSTEM_FAULTS.get(error.errno or 0, ("failed", _WRITABLE))
        raise GalleryError(
            f"{error.filename or path}: {fault} ({error.strerror or error})", hint=hint
        ) from error


def _is_full(path: Path) -> bool:
    try:
        there = os.statvfs(path.parent)
    except OSError:
        return False
    return there.f_bavail * there.f_frsize < _LEAST_BYTES or (there.f_files > 0 and there.f_favail == 0)


def prepare_directory(directory: Path) -> None:
    """Makes `directory` exist, 0700, its files 0600. Raises GalleryError when somebody else's, and changes nothing."""
    with explained(directory):
        if not directory.exists():
            directory.parent.mkdir(parents=True, exist_ok=True)
            directory.mkdir(mode=0o700)
        require_state_directory(directory)
        if _is_open(directory):
            directory.chmod(0o700)
        for file in directory.glob("gallery.*"):
            details = file.lstat()
            _require_ours(file, details)
            if not stat.S_ISREG(details.st_mode):
                raise GalleryError(
                    f"{file}: not a plain file", hint="move it away, links are not followed here"
                )
            if stat.S_IMODE(details.st_mode) & 0o177:
                file.chmod(0o600)


def require_state_directory(directory: Path) -> None:
    """Raises GalleryError when `directory` is none, or not this process's to keep a gallery in.

    A folder that others may look into and that holds other things than a gallery is somebody's home, or /tmp: made
    private it would be lost to whoever uses it.
    """
    with explained(directory):
        found = directory.stat()
        if not stat.S_ISDIR(found.st_mode):
            raise GalleryError(
                f"{directory}: not a directory", hint="set storage.state_directory to a directory"
            )
        _require_ours(directory, found)
        names = {path.name for path in directory.iterdir()} - {"lost+found"}
        if names and _is_open(directory) and not any(name.startswith("gallery.") for name in names):
            raise GalleryError(
                f"{directory}: holds other files, such as {min(names)!r}, and no gallery",
                hint="set storage.state_directory to a new or empty folder: only the daemon's user may look into it",
            )


def _is_open(directory: Path) -> bool:
    return bool(stat.S_IMODE(directory.stat().st_mode) & 0o077)


def _require_ours(path: Path, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        raise GalleryError(
            f"{path}: belongs to user {found.st_uid}, this process is user {os.geteuid()}",
            hint="run it as that user, usually `sudo -u facelatch facelatch ...`",
        )


def volatile_file_system(directory: Path) -> str | None:
    """The type of the file system `directory` lies on when it may forget what is written there, else None.

    None also where the kernel does not tell.
    """
    kind = file_system(directory)
    return kind if kind in _VOLATILE else None


def broken_promise(kind: str) -> str | None:
    """In words, what a file system of this type cannot promise a gallery; None where nothing is known against it."""
    return _BROKEN.get(kind)


def file_system(directory: Path) -> str:
    """The type of the file system `directory` lies on; empty where the kernel does not tell."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        place = directory.resolve()
    except OSError:
        return ""
    depth, kind = -1, ""
    for line in lines:
        # 36 35 98:0 / /mnt options ... - type source options; a space in a path is written \040.
        left, _, right = line.partition(" - ")
        point = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), left.split(" ")[4]))
        # Of several mounts on one point the last one is in force.
        if (place == point or point in place.parents) and len(point.parts) >= depth:
            depth, kind = len(point.parts), right.split(" ")[0]
    return kind


class Ownership:
    """The right to the gallery: one process at a time, given back by the kernel when the process dies."""

    def __init__(self, path: Path) -> None:
        """Takes the lock file `path`. Raises AlreadyRunningError when another has it, GalleryError."""
        with explained(path):
            try:
                self._descriptor = open_alone(path)
            except BlockingIOError as error:
                raise AlreadyRunningError(
                    f"{path.parent}: another facelatch process uses this gallery",
                    hint="`systemctl status facelatch` shows the daemon; its socket answers `people`",
                ) from error

    def release(self) -> None:
        """Gives the right back; never raises, and may be called twice."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):
                os.close(descriptor)
