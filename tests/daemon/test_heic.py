"""HEIC from phones: decoded for uploads alone, upright and within the limits, and never the end of anything else."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pillow_heif", reason="pillow-heif is missing: no HEIC is read")
from PIL import ExifTags, Image

from facelatch.app import intake
from facelatch.decoder import formats, heic
from facelatch.decoder.decoding import UnfitError, decode
from facelatch.decoder.reader import PictureReader, read_image
from facelatch.errors import InputError

heic.prepare()
RED_LEFT = np.zeros((48, 64, 3), np.uint8)
RED_LEFT[:, :32, 0] = 255
RED_LEFT[:, 32:, 2] = 255


def coded(picture: np.ndarray, orientation: int = 1, **options: Any) -> bytes:
    notes = Image.Exif()
    notes[ExifTags.Base.Orientation] = orientation
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, heic.KIND, exif=notes.tobytes(), **options)
    return stream.getvalue()


@pytest.fixture(scope="module")
def reader() -> Iterator[PictureReader]:
    made = PictureReader(heic=True)
    yield made
    made.close()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_phone_s_picture_stands_upright_however_it_was_held(reader: PictureReader, orientation: int):
    """Turned back as Pillow turns a JPEG with the same note."""
    turned = Image.fromarray(RED_LEFT)
    for other, turn in {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.items():  # fmt: skip
        if other == orientation:
            turned = turned.transpose(turn)
    found = reader.decode(coded(np.asarray(turned), orientation, quality=95), "a")
    assert found.shape == RED_LEFT.shape
    assert np.abs(found.astype(int) - RED_LEFT).mean() < 12


@pytest.mark.slow
def test_a_phone_s_twelve_megapixels_fit_into_the_worker_s_memory(reader: PictureReader):
    """Of one colour, which is quick to make; what it decodes to is as large as any."""
    large = np.full((3024, 4032, 3), 90, np.uint8)
    assert reader.decode(coded(large, 6, quality=30), "a").shape == (4032, 3024, 3)


def test_more_pixels_than_allowed_are_told_before_one_is_decoded(monkeypatch: pytest.MonkeyPatch):
    data = coded(RED_LEFT)
    monkeypatch.setattr("facelatch.decoder.decoding.MAX_PIXELS", 64 * 48 - 1)
    with pytest.raises(UnfitError, match="megapixels"):
        decode(data, (heic.KIND,))


@pytest.mark.parametrize(
    "spoil", [lambda d: d[:200], lambda d: d[:-40], lambda d: d[:40] + b"\0" * 400, lambda d: d[:12]]
)
def test_a_damaged_one_is_refused_and_the_next_is_read(reader: PictureReader, spoil: Any):
    with pytest.raises(InputError, match="a: "):
        reader.decode(spoil(coded(RED_LEFT)), "a")
    assert reader.decode(coded(RED_LEFT), "b").shape == RED_LEFT.shape


def test_only_the_reader_of_uploads_decodes_it(tmp_path: Path):
    """On the command line it is named and refused as ever, whatever is installed; no decoder is given it."""
    file = tmp_path / "phone.jpg"
    file.write_bytes(coded(RED_LEFT))
    for read in (read_image, PictureReader(heic=True).read):
        with pytest.raises(InputError, match="a HEIC picture, which is not read here"):
            read(file)
    with pytest.raises(InputError, match="not a picture"):
        PictureReader().decode(coded(RED_LEFT), "a")


def test_an_upload_that_is_not_read_is_named_with_what_helps(monkeypatch: pytest.MonkeyPatch):
    with_none: Any = None
    monkeypatch.setattr(heic, "available", lambda: False)
    answer = intake.look(with_none, with_none, coded(RED_LEFT), "picture 1")
    assert answer == {"problem": "a HEIC picture, which is not read here: convert it to JPEG"}
    assert intake.look(with_none, with_none, b"GIF89a", "x")["problem"].startswith("a GIF picture")
    monkeypatch.undo()
    assert formats.refusal(coded(RED_LEFT)[: formats.HEAD_BYTES], heic=True) is None
