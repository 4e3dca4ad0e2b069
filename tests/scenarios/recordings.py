"""Pictures of a tar, and recorded people as folders of frames in one, for the reports that show them to a door."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from facelatch.values.pictures import Image


def read_clips(path: Path) -> dict[str, list[Image]]:
    """The frames of each folder, by its name; folders and frames in order."""
    folders: dict[str, list[tuple[str, Image]]] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            stream = archive.extractfile(member)
            if stream is not None:
                folders.setdefault(str(Path(member.name).parent), []).append((member.name, decoded(stream.read())))
    return {
        name: [image for _, image in sorted(frames, key=lambda pair: pair[0])]
        for name, frames in sorted(folders.items())
    }


def decoded(data: bytes) -> Image:
    """RGB (H, W, 3)."""
    return np.asarray(Pillow.open(io.BytesIO(data)).convert("RGB"), np.uint8)
