"""The labelled pictures: what `pictures.csv` says of each, and its pixels."""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from facelatch.errors import InputError
from facelatch.values.pictures import Box, Image

TABLE = "pictures.csv"
"""What is known of the pictures of a folder, a row each."""

JUDGE = "judge"
"""The split that is only reported on: its owners allow nothing that ships to be derived from it."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One labelled picture."""

    path: str
    shard: str
    source: str
    person: str
    split: str
    live: bool
    kind: str
    """`print`, `screen`, `mask` or, unknown, ``."""
    context: bool
    """Whether it shows surroundings, not the face alone."""
    box: Box
    padding: float | None
    """Share of it that is made up beyond the border; None: unknown."""

    @property
    def family(self) -> str:
        """The group of sources that is left out together: they share cameras or people."""
        return family_of(self.source)


def family_of(source: str) -> str:
    """nuaa, celeba_spoof, axon; `amateur` for the small sets, which share people."""
    for name in ("nuaa", "celeba_spoof", "axon", "made", "casia_fasd", "replay_attack"):
        if source.startswith(name):
            return name
    return "amateur"


def read_table(folder: Path) -> list[Picture]:
    """Every picture that has a face's box, of all splits. Raises InputError."""
    path = folder / TABLE
    if not path.is_file():
        raise InputError(
            f"{path}: no such file", hint="give the folder with pictures.csv, context.tar and tight.tar"
        )
    with path.open(newline="", encoding="utf-8") as file:
        return [_picture(row) for row in csv.DictReader(file) if row["box"]]


def _picture(row: dict[str, str]) -> Picture:
    mask = "mask" in row["detail"].lower() and row["kind"] != "screen"
    kind = "mask" if mask and row["label"] == "attack" else row["kind"]
    return Picture(
        path=row["path"],
        shard=row["shard"],
        source=row["source"],
        person=row["person"],
        split=row["split"],
        live=row["label"] == "live",
        kind="" if kind == "unknown" else kind,
        context=row["context"] == "yes",
        box=Box(*(float(part) for part in row["box"].split())),
        padding=float(row["pad_frac"]) if row["pad_frac"] else None,
    )


def read_pixels(folder: Path, pictures: Iterable[Picture]) -> dict[str, Image]:
    """RGB pixels by path. Raises InputError for a picture that is in no shard."""
    wanted: dict[str, set[str]] = {}
    for picture in pictures:
        wanted.setdefault(picture.shard, set()).add(picture.path)
    pixels: dict[str, Image] = {}
    for shard, paths in wanted.items():
        found = dict(read_tar(folder / shard, paths))
        if missing := paths - set(found):
            raise InputError(f"{folder / shard}: {min(missing)} is missing", hint="fetch the shard again")
        pixels |= found
    return pixels


def read_tar(path: Path, names: set[str] | None = None) -> Iterator[tuple[str, Image]]:
    """Name and RGB pixels of the pictures in a tar, or of those named. Raises InputError."""
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                stream = archive.extractfile(member)
                if stream is not None and (names is None or member.name in names):
                    yield (
                        member.name,
                        np.array(Pillow.open(io.BytesIO(stream.read())).convert("RGB"), np.uint8),
                    )
    except (OSError, tarfile.TarError) as error:
        raise InputError(f"{path}: cannot be read ({error})", hint="fetch it again") from error
