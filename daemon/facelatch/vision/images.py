"""Reading a picture from a file, for enrolment, verification and evaluation."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from facelatch.errors import InputError
from facelatch.values.pictures import Image

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
"""What a folder of pictures is searched for, in any case."""

_HINT = "give a .jpg, .png, .webp or .bmp picture; open it in a viewer to see whether it is whole"


def read_image(path: Path) -> Image:
    """The picture in `path` as RGB (H, W, 3), turned as its EXIF orientation says.

    Grey pictures become RGB, transparency is dropped. Raises InputError: missing, unreadable, empty,
    not a picture, or cut short.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{path}: {reason}", hint="check the name and who may read it") from error
    if not data:
        raise InputError(f"{path}: the file is empty", hint=_HINT)
    if _is_cut_short(data):
        raise InputError(f"{path}: the picture is cut short", hint="copy or download it again")
    try:
        decoded = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise InputError(f"{path}: cannot be decoded: {error.err}", hint=_HINT) from error
    if decoded is None or decoded.size == 0:
        raise InputError(f"{path}: not a picture, or a damaged one", hint=_HINT)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def image_files(folder: Path) -> list[Path]:
    """The pictures directly in `folder`, by name. Raises InputError when it is no folder or has none."""
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{folder}: {reason}", hint="name a folder with pictures") from error
    files = [file for file in inside if file.suffix.lower() in SUFFIXES and file.is_file()]
    if not files:
        raise InputError(f"{folder}: no picture in it", hint=f"pictures end in {', '.join(SUFFIXES)}")
    return files


def _is_cut_short(data: bytes) -> bool:
    """Whether the end of the picture is missing; the decoders would fill it with grey and say nothing."""
    if data.startswith(b"\xff\xd8"):
        return data.find(b"\xff\xd9", _jpeg_scan_start(data)) < 0
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return b"IEND" not in data
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return len(data) < int.from_bytes(data[4:8], "little") + 8
    if data.startswith(b"BM"):
        return len(data) < int.from_bytes(data[2:6], "little")
    return False


def _jpeg_scan_start(data: bytes) -> int:
    """Where the header segments end: a preview in one of them has an end mark of its own."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF and data[position + 1] != 0xDA:
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return position
