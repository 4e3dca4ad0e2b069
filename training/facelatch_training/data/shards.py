"""Writing a crop set: tar shards of WebP crops with `faces.csv`, complete or not at all."""

from __future__ import annotations

import csv
import io
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import cv2

from facelatch.errors import InputError
from facelatch.values.pictures import Image
from facelatch.vision.align import ALIGN_VERSION

COLUMNS = ("path", "identity", "split", "source", "shard", "family", "align_version")

SHARD_BYTES = 48_000_000
"""Small enough for one shard to travel in one piece."""

_LOSSLESS = 101
"""OpenCV's WebP quality above 100."""


@dataclass(frozen=True)
class Row:
    """One crop in the table; the split is filled in at the end."""

    path: str
    identity: str
    source: str
    shard: str
    family: str


class ShardWriter:
    """A context that fills `OUT.partial` and makes it `OUT` when `finish` was called; else removes it."""

    def __init__(self, out: Path, *, shard_bytes: int = SHARD_BYTES) -> None:
        """Raises InputError when `out` holds something already."""
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise InputError(
                f"{out}: there is something already", hint="choose a new folder; nothing is overwritten"
            )
        self._out, self._partial = out, out.with_name(out.name + ".partial")
        self._shard_bytes = shard_bytes
        self._archive: tarfile.TarFile | None = None
        self._filled, self._shards = 0, 0
        self._finished = False
        self._counts: dict[str, int] = {}
        self.rows: list[Row] = []

    def __enter__(self) -> ShardWriter:
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir(mode=0o700, parents=True)
        return self

    def add(self, crop: Image, *, identity: str, source: str, family: str) -> None:
        """Appends a crop (112, 112, 3)."""
        content = encode(crop)
        if self._archive is None or self._filled + len(content) > self._shard_bytes:
            self._next_shard()
        assert self._archive is not None
        number = self._counts.get(identity, 0)
        self._counts[identity] = number + 1
        entry = tarfile.TarInfo(f"{identity}/{number:03d}.webp")
        entry.size = len(content)
        self._archive.addfile(entry, io.BytesIO(content))
        self._filled += len(content) + 1024
        self.rows.append(
            Row(
                path=entry.name,
                identity=identity,
                source=source,
                shard=f"faces-{self._shards - 1:02d}.tar",
                family=family,
            )
        )

    def finish(self, splits: dict[str, str]) -> None:
        """Writes the table with the split of each identity and puts the set in its place."""
        self._close()
        with (self._partial / "faces.csv").open("w", newline="", encoding="utf-8") as stream:
            table = csv.writer(stream, lineterminator="\n")
            table.writerow(COLUMNS)
            for row in self.rows:
                table.writerow(
                    [
                        row.path,
                        row.identity,
                        splits[row.identity],
                        row.source,
                        row.shard,
                        row.family,
                        ALIGN_VERSION,
                    ]
                )
        if self._out.exists():
            self._out.rmdir()
        self._partial.rename(self._out)
        self._finished = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._close()
        finally:  # on a full disk closing fails, too
            if not self._finished:
                shutil.rmtree(self._partial, ignore_errors=True)

    def _next_shard(self) -> None:
        self._close()
        self._archive = tarfile.open(self._partial / f"faces-{self._shards:02d}.tar", "w")  # noqa: SIM115
        self._shards += 1
        self._filled = 0

    def _close(self) -> None:
        if self._archive is not None:
            self._archive.close()
            self._archive = None


def encode(crop: Image) -> bytes:
    """A crop as a file: lossless WebP, so that training sees the very pixels that were aligned."""
    done, data = cv2.imencode(
        ".webp", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, _LOSSLESS]
    )
    if not done:
        raise InputError(
            "a crop cannot be encoded as WebP", hint="this OpenCV has no WebP; install it from PyPI"
        )
    return data.tobytes()
