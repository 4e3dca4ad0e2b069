"""Aligned crops as lossless PNG bytes, for the gallery and its export files.

A crop may come from outside, in an export file or a request, so it is read without a general PNG decoder: OpenCV 4.11
dies of a crafted animation. What is read here is the least a PNG can be: header, pixels, end mark.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from facelatch.errors import InputError
from facelatch.values.pictures import Image
from facelatch.vision.align import CROP_SIZE_PX

MAX_BYTES = 64 * 1024
"""More than any crop can need: 112 x 112 x 3 bytes are 37,632 before compression."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.pack(">IIBBBBB", CROP_SIZE_PX, CROP_SIZE_PX, 8, 2, 0, 0, 0)
"""The only picture header accepted: crop size, 8 bits, RGB, not interlaced."""

_NONE, _SUB, _UP, _AVERAGE, _PAETH = range(5)
"""PNG's filters: each row tells how its bytes were foretold from the pixel at the left and the row above."""

_SHAPE = (CROP_SIZE_PX, CROP_SIZE_PX, 3)

Rows = NDArray[np.uint8]
"""One filter and 112 RGB pixels a row, (112, 337)."""


def encode_png(crop: Image) -> bytes:
    """The PNG of an aligned RGB crop (112, 112, 3). Raises InputError for any other shape or type."""
    if crop.shape != _SHAPE or crop.dtype != np.uint8:
        raise InputError(f"a crop must be uint8 (112, 112, 3), got {crop.dtype} {crop.shape}")
    pixels = zlib.compress(_filtered(crop).tobytes())
    return _SIGNATURE + _chunk(b"IHDR", _HEADER) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def decode_png(data: bytes) -> Image:
    """The RGB crop (112, 112, 3) in PNG bytes. Raises InputError when they are damaged or anything else."""
    rows = _inflated(b"".join(_pixel_chunks(data)))
    if rows[:, 0].max() > _PAETH:
        raise _not_a_crop()
    return _unfiltered(rows)


def _not_a_crop() -> InputError:
    return InputError("not a whole 112 x 112 RGB PNG")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _pixel_chunks(data: bytes) -> Iterator[bytes]:
    """The compressed pixels between header and end mark. Raises InputError for any other chunk or a wrong checksum."""
    start = _SIGNATURE + _chunk(b"IHDR", _HEADER)
    if len(data) > MAX_BYTES or not data.startswith(start):
        raise _not_a_crop()
    position = len(start)
    while position < len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        kind, body = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        chunk = _chunk(kind, body)
        if data[position : position + length + 12] != chunk:
            raise _not_a_crop()
        position += len(chunk)
        if kind == b"IEND" and not body and position == len(data):
            return
        if kind != b"IDAT":
            raise _not_a_crop()
        yield body
    raise _not_a_crop()


def _inflated(compressed: bytes) -> Rows:
    """The rows, which fill the crop exactly. Raises InputError otherwise."""
    height, width, channels = _SHAPE
    wanted = height * (1 + width * channels)
    inflate = zlib.decompressobj()
    try:
        data = inflate.decompress(compressed, wanted + 1)
    except zlib.error as error:
        raise _not_a_crop() from error
    if len(data) != wanted or not inflate.eof or inflate.unused_data:
        raise _not_a_crop()
    return np.frombuffer(data, dtype=np.uint8).reshape(height, -1)


def _filtered(crop: Image) -> Rows:
    """Each row by the filter that leaves the smallest numbers: these compress best. Only those quick to undo."""
    above = np.vstack([np.zeros_like(crop[:1]), crop[:-1]])
    left = np.hstack([np.zeros_like(crop[:, :1]), crop[:, :-1]])
    choices = np.stack([crop, crop - left, crop - above]).reshape(3, CROP_SIZE_PX, -1)
    sizes = np.abs(choices.view(np.int8).astype(np.int16)).sum(axis=2)
    best = sizes.argmin(axis=0)
    rows = choices[best, np.arange(CROP_SIZE_PX)]
    return np.hstack([best[:, np.newaxis].astype(np.uint8), rows])


def _unfiltered(rows: Rows) -> Image:
    """The crop behind filtered rows. Bytes overflow as PNG wants it."""
    kinds, crop = rows[:, 0], rows[:, 1:].reshape(_SHAPE).copy()
    alone = kinds == _SUB
    crop[alone] = np.add.accumulate(crop[alone], axis=1, dtype=np.uint8)
    nothing = np.zeros_like(crop[0])
    for row in np.flatnonzero(kinds >= _UP):
        above = crop[row - 1] if row else nothing
        if kinds[row] == _UP:
            crop[row] += above
        else:
            crop[row] = _undone(int(kinds[row]), crop[row].tobytes(), above.tobytes()).reshape(-1, 3)
    return crop


def _undone(kind: int, line: bytes, above: bytes) -> NDArray[np.uint8]:
    """A row of filter Average or Paeth, in which each byte needs the one before it. Other programs may use these."""
    made = bytearray(len(line))
    for index, byte in enumerate(line):
        left = made[index - 3] if index >= 3 else 0
        corner = above[index - 3] if index >= 3 else 0
        guess = (left + above[index]) // 2 if kind == _AVERAGE else _paeth(left, above[index], corner)
        made[index] = (byte + guess) & 255
    return np.frombuffer(made, dtype=np.uint8)


def _paeth(left: int, above: int, corner: int) -> int:
    """Of three neighbours the one nearest to left + above - corner; the first named where two are."""
    to_left, to_above = abs(above - corner), abs(left - corner)
    to_corner = abs(left + above - 2 * corner)
    if to_left <= to_above and to_left <= to_corner:
        return left
    return above if to_above <= to_corner else corner
