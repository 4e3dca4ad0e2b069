"""Prepared face crops: one table, one big array, and a fingerprint of both.

A *crop set* is a folder with `faces.csv` (columns path, identity, split and shard; more are allowed) and
the tar shards it names, each holding 112x112 crops made by `facelatch.vision.align`. A column `family` says who is
related; where it is missing or empty, the identity's name may say so; a column `align_version` must be this
program's. The split is by identity and by family,
and this module refuses a set in which it is not.
"""

from __future__ import annotations

import csv
import hashlib
import math
import os
import re
import shutil
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from facelatch.errors import InputError
from facelatch.vision.align import ALIGN_VERSION, CROP_SIZE_PX

CROP_SIZE = CROP_SIZE_PX
CropArray = npt.NDArray[np.uint8]


class Crops(Protocol):
    """Anything that gives crop (112, 112, 3) number i: an array, some rows of one, or shards read as
    needed.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> CropArray: ...


REQUIRED_COLUMNS = ("path", "identity", "split", "shard")
SPLITS = ("train", "validation")
FAMILY = re.compile(r"(?:f|v)?(F\d+)MID\d+$")
_UNREADABLE = "prepare the set anew; --skip-unreadable leaves out what cannot be read"


def family_of(identity: str) -> str:
    """The family an identity belongs to (`fF0039MID4` -> `F0039`); people without a known family are their
    own.
    """
    found = FAMILY.search(identity)
    return found.group(1) if found else identity


@dataclass(frozen=True)
class CropIndex:
    """The table of a crop set, row i describing crop i. `labels` number the identities of this table from
    0.
    """

    folder: Path
    paths: tuple[str, ...]
    shards: tuple[str, ...]
    identities: tuple[str, ...]
    splits: tuple[str, ...]
    family: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def rows(self, split: str) -> npt.NDArray[np.int64]:
        """Row numbers of one split, in the order of the table."""
        return np.flatnonzero(np.array([name == split for name in self.splits], dtype=bool))

    def labels(self, rows: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], list[str]]:
        """Identity number of each of `rows`, numbered by sorted name, and the names."""
        names, numbers = np.unique([self.identities[row] for row in rows], return_inverse=True)
        return numbers.astype(np.int64).reshape(-1), [str(name) for name in names]

    def families(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Family number of each of `rows`; equal numbers mean the same person or a relative."""
        _, numbers = np.unique([self.family[row] for row in rows], return_inverse=True)
        return np.asarray(numbers.reshape(-1), np.int64)


def read_index(folder: Path) -> CropIndex:
    """Read and check `folder/faces.csv`.

    Raises InputError, naming the file and the line, for a missing file or column, an unknown split, no
    rows, a row that is cut short, a crop of another alignment or that two rows name, a shard that is not
    there, and for an identity or a family that stands on both sides of the split.
    """
    table = folder / "faces.csv"
    rows = _read_table(table)
    first: dict[tuple[str, str], int] = {}
    for number, row in enumerate(rows, start=2):
        lacking = [column for column in REQUIRED_COLUMNS if not row[column]]
        if lacking:
            raise InputError(
                f"{table}:{number}: no {', '.join(lacking)} in this row",
                hint="the file is cut short or was edited; copy it again, or prepare the set anew",
            )
        if row["split"] not in SPLITS:
            raise InputError(
                f"{table}:{number}: split {row['split']!r}", hint=f"allowed: {', '.join(SPLITS)}"
            )
        if row.get("align_version") not in (None, "", str(ALIGN_VERSION)):
            raise InputError(
                f"{table}:{number}: align_version {row['align_version']}, this program aligns by {ALIGN_VERSION}",
                hint="prepare the pictures again",
            )
        before = first.setdefault((row["shard"], row["path"]), number)
        if before != number:
            raise InputError(
                f"{table}:{number}: names {row['path']} in {row['shard']}, as line {before} does",
                hint="one row per crop; remove one of the two",
            )
    index = CropIndex(
        folder=folder,
        paths=tuple(row["path"] for row in rows),
        shards=tuple(row["shard"] for row in rows),
        identities=tuple(row["identity"] for row in rows),
        splits=tuple(row["split"] for row in rows),
        family=tuple(row.get("family") or family_of(row["identity"]) for row in rows),
    )
    for shard in sorted(set(index.shards)):
        if not (folder / shard).is_file():
            raise InputError(
                f"{table}: names shard {shard}, which is not in {folder}",
                hint="copy the whole folder: faces.csv and all its shards",
            )
    _check_disjoint(index, table)
    return index


def _read_table(table: Path) -> list[dict[str, str]]:
    if not table.is_file():
        raise InputError(
            f"{table}: not found", hint="a crop set is a folder with faces.csv and its tar shards"
        )
    try:
        with table.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            missing = [column for column in REQUIRED_COLUMNS if column not in (reader.fieldnames or [])]
            rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{table}: not a csv file in UTF-8: {error}", hint="copy it again, or prepare the set anew"
        ) from error
    if missing:
        raise InputError(
            f"{table}: no column {', '.join(missing)}", hint=f"needed: {', '.join(REQUIRED_COLUMNS)}"
        )
    if not rows:
        raise InputError(
            f"{table}: no rows", hint="run `facelatch-train prepare` on a folder that holds faces"
        )
    return rows


def _check_disjoint(index: CropIndex, table: Path) -> None:
    home: dict[str, str] = {}
    side: dict[str, str] = {}
    for identity, family, split in zip(index.identities, index.family, index.splits, strict=True):
        if home.setdefault(identity, family) != family:
            raise InputError(
                f"{table}: {identity} is in family {home[identity]} and in family {family}",
                hint="write the same family in every row of a person",
            )
        if side.setdefault(family, split) != split:
            raise InputError(
                f"{table}: {identity} (family {family}) is in both train and validation",
                hint="split by identity and by family, never by image",
            )


def fingerprint(index: CropIndex) -> str:
    """SHA-256 over the table and the bytes of every shard: which data a run has seen."""
    digest = hashlib.sha256((index.folder / "faces.csv").read_bytes())
    for shard in sorted(set(index.shards)):
        with (index.folder / shard).open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def decode_crop(data: bytes, name: str) -> CropArray:
    """Bytes of a picture file -> RGB uint8 (112, 112, 3). Raises InputError for anything else than such a
    crop.
    """
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if picture is None:
        raise InputError(f"{name}: not a readable picture", hint=_UNREADABLE)
    if picture.shape != (CROP_SIZE, CROP_SIZE, 3):
        raise InputError(
            f"{name}: {picture.shape[1]}x{picture.shape[0]}, a crop is {CROP_SIZE}x{CROP_SIZE}",
            hint="a crop set holds aligned crops; make one of pictures with `facelatch-train prepare`",
        )
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def iterate_shard(index: CropIndex, shard: str) -> Iterator[tuple[int, CropArray]]:
    """Yield (row, crop) of one shard in tar order: one pass, no more than one picture in memory.

    Raises InputError for a damaged shard, for a picture that is no crop, and at the end for files that the
    table names and the shard does not hold.
    """
    for row, data in iterate_files(index, shard):
        yield row, decode_crop(data, f"{shard}:{index.paths[row]}")


def iterate_files(index: CropIndex, shard: str) -> Iterator[tuple[int, bytes]]:
    """Yield (row, bytes of the picture file) as `iterate_shard` does, not yet decoded."""
    wanted = {path: row for row, path in enumerate(index.paths) if index.shards[row] == shard}
    try:
        with tarfile.open(index.folder / shard) as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.name in wanted else None
                if stream is not None:
                    yield wanted.pop(member.name), stream.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InputError(
            f"{index.folder / shard}: not a whole tar file: {error}",
            hint="copy it again, or prepare the set anew",
        ) from error
    if wanted:
        first = next(iter(wanted))
        raise InputError(
            f"{index.folder / 'faces.csv'}: names {len(wanted)} files that {shard} does not hold, "
            f"the first is {first}",
            hint="table and shards belong together; copy the whole folder again",
        )


class MappedCrops:
    """The crops (N, 112, 112, 3) in a NumPy file, read as needed; a copy in another process maps the same file."""

    def __init__(self, path: Path) -> None:
        self._path, self._array = path, np.load(path, mmap_mode="r")

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, number: int, /) -> CropArray:
        return np.asarray(self._array[number])

    def __reduce__(self) -> tuple[type[MappedCrops], tuple[Path]]:
        return MappedCrops, (self._path,)


def load_crops(index: CropIndex, cache: Path, mark: str) -> MappedCrops:
    """All crops, mapped from a cache file that is made once per fingerprint.

    Raises InputError when the disk cannot hold it, and as `iterate_shard`; no half-made file stays.
    """
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = cache / f"crops-{mark[:16]}.npy"
    if not path.is_file():
        partial = path.with_suffix(".partial")
        try:
            crops = _map_new(partial, (len(index), CROP_SIZE, CROP_SIZE, 3))
            for shard in sorted(set(index.shards)):
                for row, crop in iterate_shard(index, shard):
                    crops[row] = crop
            crops.flush()
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    return MappedCrops(path)


def _map_new(path: Path, shape: tuple[int, ...]) -> Any:
    """A new uint8 array in a file that has all its space: a full disk met while writing to a map is SIGBUS."""
    try:
        array: Any = np.lib.format.open_memmap(  # type: ignore[no-untyped-call]
            path, mode="w+", dtype=np.uint8, shape=shape
        )
        if hasattr(os, "posix_fallocate"):  # macOS has none
            with path.open("r+b") as stream:
                os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)
    except OSError as error:
        free = shutil.disk_usage(path.parent).free
        raise InputError(
            f"{path}: {error.strerror}; {math.prod(shape) / 1e6:,.0f} MB needed, {free / 1e6:,.0f} MB free",
            hint="make room, put the cache on another disk, or set `stream = true` in the recipe",
        ) from error
    return array


class RowsOf:
    """Some rows of other crops, without copying them."""

    def __init__(self, crops: Crops, rows: npt.NDArray[np.int64]) -> None:
        self._crops, self._rows = crops, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int, /) -> CropArray:
        return self._crops[int(self._rows[number])]


class ShardedCrops:
    """The crops of an index straight from their tar shards, two shards in memory at most.

    Meant to be read shard by shard (recipe key `stream`), for sets larger than memory and cache disk.
    """

    def __init__(self, index: CropIndex) -> None:
        self._index = index
        self._shard = lru_cache(maxsize=2)(lambda shard: dict(iterate_shard(index, shard)))
        self._one_at_a_time = threading.Lock()  # the cache would let every thread read the shard it lacks

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, number: int, /) -> CropArray:
        with self._one_at_a_time:
            shard = self._shard(self._index.shards[number])
        return shard[number]
