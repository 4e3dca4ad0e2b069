"""Which kinds of picture are read: told by the first bytes of a file, never by its name."""

from __future__ import annotations

from dataclasses import dataclass

ALLOWED = ("JPEG", "PNG", "WEBP", "BMP")
"""Pillow's names of the kinds that are decoded. Each further decoder is one more that a hostile file may attack."""

HEAD_BYTES = 32
"""How much of a file tells its kind."""

SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp")
"""How files of the allowed kinds are usually named, in lower case."""

OTHER_SUFFIXES = (".heic", ".heif", ".avif", ".tif", ".tiff", ".gif", ".jp2", ".jxl", ".dng")
"""How pictures of other kinds are named that cameras and phones make."""

MAX_FILE_BYTES = 64 * 1024 * 1024
"""Larger files are not read: the largest pictures of phones have a third of that."""

MAX_PIXELS = 50_000_000
"""More are refused before they are decoded. What phones call 48 or 50 megapixels is less."""

MAX_SIDE_PX = 30_000
"""OpenCV cannot turn or warp a picture with a longer side."""

_STARTS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (8, b"WEBP", "WEBP"),
    (0, b"BM", "BMP"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftypavis", "AVIF"),
    (4, b"ftyphe", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
    (4, b"ftypmsf1", "HEIC"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"GIF8", "GIF"),
    (4, b"jP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (4, b"JXL ", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
)
"""Where in the file, which bytes, and the kind they tell."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a file is not decoded, and what a person can do about it."""

    reason: str
    hint: str


def kind_of(head: bytes) -> str:
    """The kind of picture that begins with `head`, its first HEAD_BYTES; empty when it is none known here."""
    return next((kind for at, start, kind in _STARTS if head[at:].startswith(start)), "")


def refusal(head: bytes, *, heic: bool = False) -> Refused | None:
    """Why a file that begins with `head` is not decoded; None when it is of an allowed kind. `heic`: that is one."""
    if not head:
        return Refused("the file is empty", "copy or download it again")
    kind = kind_of(head)
    if kind in ALLOWED or (heic and kind == "HEIC"):
        return None
    if kind:
        article = "an" if kind == "AVIF" else "a"
        return Refused(f"{article} {kind} picture, which is not read here", "convert it to JPEG")
    return Refused(
        "not a picture", "give a JPEG, PNG, WebP or BMP; open it in a viewer to see whether it is one"
    )
