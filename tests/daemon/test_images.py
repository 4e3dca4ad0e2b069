"""Pictures as people have them: every format, every fault."""

from __future__ import annotations

import contextlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facelatch.errors import InputError
from facelatch.vision.images import image_files, read_image

RED_LEFT = np.zeros((24, 40, 3), np.uint8)
"""RGB: red on the left, blue on the right, so that swapped channels and turned pictures show."""
RED_LEFT[:, :20] = (200, 0, 0)
RED_LEFT[:, 20:] = (0, 0, 200)


def write(path: Path, image: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), image[..., [2, 1, 0, *range(3, image.shape[2])]] if image.ndim == 3 else image)
    return path


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """The JPEG with an EXIF segment that says how the camera was held."""
    tiff = b"II*\0\x08\0\0\0" + b"\x01\0" + b"\x12\x01\x03\0\x01\0\0\0" + bytes([orientation, 0, 0, 0]) + b"\0" * 4
    payload = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + (len(payload) + 2).to_bytes(2, "big") + payload + jpeg[2:]


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "png", "webp", "bmp", "PNG"])
def test_every_format_is_read_as_rgb(tmp_path: Path, suffix: str):
    image = read_image(write(tmp_path / f"a.{suffix}", RED_LEFT))
    assert image.shape == RED_LEFT.shape
    assert image.dtype == np.uint8
    assert np.abs(image.astype(int) - RED_LEFT)[:, [5, 35]].max() < 12


def test_a_grey_picture_becomes_rgb(tmp_path: Path):
    image = read_image(write(tmp_path / "a.png", np.full((8, 6), 77, np.uint8)))
    assert image.shape == (8, 6, 3)
    assert (image == 77).all()


def test_transparency_is_dropped(tmp_path: Path):
    rgba = np.dstack([RED_LEFT, np.full(RED_LEFT.shape[:2], 128, np.uint8)])
    np.testing.assert_array_equal(read_image(write(tmp_path / "a.png", rgba)), RED_LEFT)


def test_sixteen_bits_become_eight(tmp_path: Path):
    image = read_image(write(tmp_path / "a.png", np.full((8, 6, 3), 40_000, np.uint16)))
    assert image.dtype == np.uint8
    assert np.abs(image.astype(int) - 156).max() <= 1


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [(1, lambda i: i), (3, lambda i: i[::-1, ::-1]), (6, lambda i: np.rot90(i, -1)), (8, np.rot90)],
)
def test_a_picture_is_turned_as_its_camera_was_held(tmp_path: Path, orientation: int, turned):
    jpeg = cv2.imencode(".jpg", RED_LEFT[..., ::-1])[1].tobytes()
    path = tmp_path / "a.jpg"
    path.write_bytes(with_orientation(jpeg, orientation))
    image = read_image(path)
    expected = turned(RED_LEFT).astype(int)
    assert image.shape == expected.shape
    assert np.abs(image - expected).mean() < 10


@pytest.mark.parametrize("shape", [(1, 1, 3), (3000, 4000, 3)], ids=["1x1", "12 megapixels"])
def test_the_smallest_and_a_large_picture_are_read(tmp_path: Path, shape):
    assert read_image(write(tmp_path / "a.bmp", np.full(shape, 90, np.uint8))).shape == shape


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"", "the file is empty"), (b"hello, this is no picture", "not a picture"), (b"\xff\xd8", "cut short")],
    ids=["empty", "text", "only a header"],
)
def test_a_file_that_is_no_picture_is_refused_by_name(tmp_path: Path, content: bytes, expected: str):
    path = tmp_path / "anna.jpg"
    path.write_bytes(content)
    with pytest.raises(InputError, match=expected) as caught:
        read_image(path)
    assert str(path) in str(caught.value)
    assert caught.value.hint
    assert caught.value.exit_code == 9


def test_a_missing_file_and_a_folder_are_refused_by_name(tmp_path: Path):
    for path, expected in [(tmp_path / "none.png", "No such file"), (tmp_path, "Is a directory")]:
        with pytest.raises(InputError, match=expected) as caught:
            read_image(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp"])
def test_a_picture_cut_short_is_refused_not_filled_with_grey(tmp_path: Path, suffix: str, share: float):
    noise = np.random.default_rng(1).integers(0, 255, (60, 60, 3), dtype=np.uint8)
    path = write(tmp_path / f"a.{suffix}", noise)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(InputError):
        read_image(path)


def test_a_preview_inside_does_not_hide_that_a_jpeg_is_cut_short(tmp_path: Path):
    noise = np.random.default_rng(1).integers(0, 255, (60, 60, 3), dtype=np.uint8)
    preview = cv2.imencode(".jpg", noise[:16, :16])[1].tobytes()
    jpeg = cv2.imencode(".jpg", noise)[1].tobytes()
    segment = b"\xff\xe2" + (len(preview) + 2).to_bytes(2, "big") + preview
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg[:2] + segment + jpeg[2:])
    assert read_image(path).shape == (60, 60, 3)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="cut short"):
        read_image(path)


def test_a_folder_gives_its_pictures_by_name_and_nothing_else(tmp_path: Path):
    for name in ("b.JPG", "a.png", "notes.txt", "c.webp"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "d.png").mkdir()
    assert [path.name for path in image_files(tmp_path)] == ["a.png", "b.JPG", "c.webp"]


def test_a_folder_without_pictures_or_that_is_none_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="no picture in it"):
        image_files(tmp_path)
    with pytest.raises(InputError, match="No such file"):
        image_files(tmp_path / "none")


_heads = [b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF\x10\0\0\0WEBPVP8 ", b"BM"]


@given(st.sampled_from(_heads), st.binary(max_size=200))
def test_any_bytes_are_a_picture_or_an_input_error(tmp_path_factory, head: bytes, rest: bytes):
    path = tmp_path_factory.getbasetemp() / "any.jpg"
    path.write_bytes(head + rest)
    with contextlib.suppress(InputError):
        assert read_image(path).ndim == 3
