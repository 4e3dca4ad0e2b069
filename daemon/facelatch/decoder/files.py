"""Picture files: only regular ones of an allowed kind and size are opened, and a folder tells what it leaves out."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from facelatch.decoder.formats import HEAD_BYTES, MAX_FILE_BYTES, refusal
from facelatch.errors import InputError


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that is not used, and why, in words for people."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Folder:
    """What a folder holds, both in natural order (`9.png` before `10.png`)."""

    pictures: tuple[Path, ...]
    left_out: tuple[LeftOut, ...]


def picture_bytes(path: Path) -> bytes:
    """The bytes of a picture file. Raises InputError that names it: missing, not a regular file, empty, too large,
    or of a kind that is not decoded.
    """
    with os.fdopen(_opened(path), "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        refused = refusal(stream.read(HEAD_BYTES))
        if refused is not None:
            raise InputError(f"{path}: {refused.reason}", hint=refused.hint)
        if size > MAX_FILE_BYTES:
            raise InputError(
                f"{path}: a file of {size // 2**20} MiB, at most {MAX_FILE_BYTES // 2**20} MiB are read",
                hint="save it as JPEG, or make it smaller",
            )
        stream.seek(0)
        # A file that grows meanwhile is read as far as it was looked at.
        return stream.read(size)


def picture_files(folder: Path) -> Folder:
    """The pictures directly in `folder`, and all else in it but hidden files. Raises InputError: no folder."""
    try:
        inside = sorted(folder.iterdir(), key=_natural_order)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{folder}: {reason}", hint="name a folder with pictures") from error
    pictures, left_out = [], []
    for path in inside:
        if path.name.startswith("."):
            continue
        if reason := _unfit(path):
            left_out.append(LeftOut(path, reason))
        else:
            pictures.append(path)
    return Folder(tuple(pictures), tuple(left_out))


def _unfit(path: Path) -> str:
    """Why the beginning of a file rules it out; empty when it may be a picture."""
    try:
        with os.fdopen(_opened(path), "rb") as stream:
            refused = refusal(stream.read(HEAD_BYTES))
    except InputError as error:
        return str(error).removeprefix(f"{path}: ")
    return "" if refused is None else f"{refused.reason}: {refused.hint}"


def _opened(path: Path) -> int:
    """A descriptor of a regular file. Raises InputError for anything else, without waiting and without opening it.

    To open a device may already do something, and a pipe waits for its writer.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError("Is a directory")
        if stat.S_ISREG(mode):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return descriptor
            os.close(descriptor)  # replaced just now
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: {reason}", hint="check the name and who may read it") from error
    raise InputError(f"{path}: not a regular file", hint="give a picture file")


def _natural_order(file: Path) -> list[tuple[int, str]]:
    """Digits compare as numbers, so that `2.png` comes before `10.png`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", file.name)]
