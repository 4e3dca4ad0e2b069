"""Crops as PNG: what any encoder may write of one is read, and nothing else is."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facelatch.errors import InputError
from facelatch.vision.png import MAX_BYTES, decode_png, encode_png

SIDE = 112


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


HEADER = chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0))
END = chunk(b"IEND", b"")
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def crop(seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Coarse patches with some noise: every filter finds something to do."""
    rng = np.random.default_rng(seed)
    patches = rng.integers(0, 230, (14, 14, 3)).repeat(8, axis=0).repeat(8, axis=1)
    return np.asarray(patches + rng.integers(0, 25, (SIDE, SIDE, 3)), np.uint8)


def png_of(rows: bytes, *between: bytes) -> bytes:
    return SIGNATURE + HEADER + b"".join(between) + chunk(b"IDAT", zlib.compress(rows)) + END


@given(st.integers(0, 2**32), st.lists(st.integers(0, 4), min_size=SIDE, max_size=SIDE))
def test_rows_of_any_filter_are_undone_as_opencv_does(seed: int, filters: list[int]):
    rows = np.random.default_rng(seed).integers(0, 256, (SIDE, 1 + 3 * SIDE), dtype=np.uint8)
    rows[:, 0] = filters
    data = png_of(rows.tobytes())
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(decode_png(data), expected)


@pytest.mark.parametrize("seed", range(4))
def test_a_crop_comes_back_as_it_was_and_opencv_and_pillow_read_it_too(seed: int):
    picture = crop(seed)
    data = encode_png(picture)
    np.testing.assert_array_equal(decode_png(data), picture)
    np.testing.assert_array_equal(cv2.imdecode(np.frombuffer(data, np.uint8), 1)[..., ::-1], picture)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), picture)


def test_what_opencv_and_pillow_write_is_read():
    """Galleries and exports of earlier versions are OpenCV's."""
    stream = io.BytesIO()
    Image.fromarray(crop()).save(stream, "PNG")
    for data in (cv2.imencode(".png", crop()[..., ::-1])[1].tobytes(), stream.getvalue()):
        np.testing.assert_array_equal(decode_png(data), crop())


def test_even_noise_fits_into_what_a_crop_may_take():
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    assert len(encode_png(noise)) < MAX_BYTES * 0.6


ROWS = bytes(SIDE * (1 + 3 * SIDE))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        SIGNATURE,
        SIGNATURE + HEADER,
        SIGNATURE + HEADER + END,
        png_of(ROWS)[:-1],
        png_of(ROWS) + b"x",
        png_of(ROWS[:-1]),
        png_of(ROWS + b"x"),
        png_of(b"\x05" + ROWS[1:]),
        png_of(ROWS, chunk(b"acTL", b"\0\0\0\2\0\0\0\0")),
        png_of(ROWS, chunk(b"tEXt", b"Author\0x")),
        png_of(ROWS, HEADER),
        png_of(ROWS, chunk(b"IEND", b"x")),
        png_of(ROWS).replace(b"IDAT", b"IDAU"),
        SIGNATURE + HEADER + chunk(b"IDAT", zlib.compress(ROWS) + b"more") + END,
        SIGNATURE + HEADER + chunk(b"IDAT", zlib.compress(ROWS)[:-4]) + END,
        SIGNATURE + HEADER + chunk(b"IDAT", zlib.compress(ROWS * 1000)) + END,
        SIGNATURE + HEADER + b"\xff\xff\xff\xffIDAT" + END,
    ],
)
def test_anything_else_is_refused(data: bytes):
    with pytest.raises(InputError, match="not a whole 112 x 112 RGB PNG"):
        decode_png(data)


def test_pixels_may_come_in_several_parts():
    body = zlib.compress(ROWS)
    data = SIGNATURE + HEADER + chunk(b"IDAT", body[:9]) + chunk(b"IDAT", b"") + chunk(b"IDAT", body[9:]) + END
    assert not decode_png(data).any()
