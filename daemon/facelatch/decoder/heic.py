"""HEIC, in which many phones keep their photographs: decoded by pillow-heif (libheif, libde265), where it is installed.

Its decoders are large and have had their faults. So only the reader of uploads asks for it, whose process can reach
nothing; pictures named on the command line in this format are refused, as ever.
"""

from __future__ import annotations

import importlib.util

KIND = "HEIF"
"""As Pillow calls it."""


def available() -> bool:
    """Whether the library is there."""
    return importlib.util.find_spec("pillow_heif") is not None


def prepare() -> tuple[str, ...]:
    """Lets Pillow open such pictures, in this process; returns the kinds there are more for it."""
    import pillow_heif

    pillow_heif.options.DECODE_THREADS = 1
    # The picture itself alone: whatever else lies in the file is not looked at.
    pillow_heif.options.THUMBNAILS = pillow_heif.options.DEPTH_IMAGES = pillow_heif.options.AUX_IMAGES = False
    pillow_heif.register_heif_opener()
    return (KIND,)
