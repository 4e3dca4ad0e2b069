"""Aligned crops as lossless PNG bytes, for the gallery and its export files."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np

from facelatch.errors import InputError
from facelatch.values.pictures import Image
from facelatch.vision.align import CROP_SIZE_PX

MAX_BYTES = 64 * 1024
"""More than any crop can need: 112 x 112 x 3 bytes are 37,632 before compression."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.pack(">IIBBBBB", CROP_SIZE_PX, CROP_SIZE_PX, 8, 2, 0, 0, 0)
"""The only picture header accepted: crop size, 8 bits, RGB, not interlaced."""


def encode_png(crop: Image) -> bytes:
    """The PNG of an aligned RGB crop (112, 112, 3). Raises InputError for any other shape or type."""
    if crop.shape != (CROP_SIZE_PX, CROP_SIZE_PX, 3) or crop.dtype != np.uint8:
        raise InputError(f"a crop must be uint8 (112, 112, 3), got {crop.dtype} {crop.shape}")
    _, data = cv2.imencode(".png", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR))
    return bytes(data)


def decode_png(data: bytes) -> Image:
    """The RGB crop (112, 112, 3) in PNG bytes. Raises InputError when they are damaged or another picture.

    The checksums are compared here because decoders draw what is left of a damaged file and say nothing.
    """
    if len(data) > MAX_BYTES or not _is_intact(data):
        raise InputError("not a whole 112 x 112 RGB PNG")
    decoded = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    if decoded is None or decoded.shape != (CROP_SIZE_PX, CROP_SIZE_PX, 3):
        raise InputError("not a whole 112 x 112 RGB PNG")
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _is_intact(data: bytes) -> bool:
    """Whether header to end mark follow each other, match their checksums and fill the crop."""
    if not data.startswith(_SIGNATURE):
        return False
    position, pixels = len(_SIGNATURE), b""
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        chunk = data[position + 4 : position + 8 + length]
        if data[position + 8 + length : position + 12 + length] != struct.pack(">I", zlib.crc32(chunk)):
            return False
        kind, body = chunk[:4], chunk[4:]
        if (position == len(_SIGNATURE)) != (kind == b"IHDR") or (kind == b"IHDR" and body != _HEADER):
            return False
        if kind == b"IDAT":
            pixels += body
        position += 12 + length
        if kind == b"IEND":
            return position == len(data) and _fills_the_crop(pixels)
    return False


def _fills_the_crop(compressed: bytes) -> bool:
    wanted = CROP_SIZE_PX * (1 + 3 * CROP_SIZE_PX)
    inflate = zlib.decompressobj()
    try:
        return len(inflate.decompress(compressed, wanted + 1)) == wanted and inflate.eof
    except zlib.error:
        return False
