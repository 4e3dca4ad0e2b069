"""Bytes of a picture to RGB pixels, by Pillow: it knows how each format says which way up the camera was held."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import (
    BmpImagePlugin,
    ExifTags,
    Image,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from facelatch.decoder.formats import ALLOWED, MAX_PIXELS, MAX_SIDE_PX

PLUGINS = (BmpImagePlugin, JpegImagePlugin, MpoImagePlugin, PngImagePlugin, WebPImagePlugin)
"""Imported before the process gives up opening files. What a phone adds pictures to, Pillow calls MPO."""

_TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF's orientation, and what puts such a picture upright."""

# The cap is kept below, with words of its own.
Image.MAX_IMAGE_PIXELS = None


class UnfitError(Exception):
    """The picture is not decoded; the text says why, for people."""


def decode(data: bytes, kinds: Sequence[str] = ALLOWED) -> Image.Image:
    """The picture in `data`, of one of `kinds` as Pillow names them, mode RGB, upright.

    Grey becomes RGB, transparency is dropped, 16 bits become 8. Raises UnfitError: too many pixels (told before one is
    decoded), cut short, damaged, or of another format.
    """
    try:
        with Image.open(io.BytesIO(data), formats=tuple(kinds)) as picture:
            _refuse_large(*picture.size)
            picture.load()
            return _as_rgb(_upright(picture))
    except UnfitError:
        raise
    except UnidentifiedImageError as error:
        raise UnfitError("not a picture, or a damaged one") from error
    except MemoryError as error:
        raise UnfitError("takes more memory than a picture may") from error
    except Exception as error:  # damaged files make decoders raise whatever they like
        if "truncated" in str(error).lower():
            raise UnfitError("the picture is cut short") from error
        raise UnfitError(f"damaged: {type(error).__name__}: {error}") from error


def _refuse_large(width: int, height: int) -> None:
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE_PX:
        raise UnfitError(
            f"{width}x{height} px: at most {MAX_PIXELS // 1_000_000} megapixels are read, no side above {MAX_SIDE_PX}"
        )


def _upright(picture: Image.Image) -> Image.Image:
    try:
        orientation = picture.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # damaged notes on a picture do not spoil the picture
        return picture
    turn = _TURNED.get(orientation) if isinstance(orientation, int) else None
    return picture if turn is None else picture.transpose(turn)


def _as_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):  # Pillow cuts 16 grey bits off at 255 instead of scaling them
        picture = picture.convert("I").point(lambda value: value / 256).convert("L")
    return picture if picture.mode == "RGB" else picture.convert("RGB")
