"""The crops of a crop set, in memory, mapped from a cache file, or straight from the shards."""

from __future__ import annotations

import math
import os
import shutil
import threading
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from facelatch.errors import InputError
from facelatch.vision.align import CROP_SIZE_PX
from facelatch_training.data.dataset import CropIndex, iterate_files

CROP_SIZE = CROP_SIZE_PX

CropArray = npt.NDArray[np.uint8]


class Crops(Protocol):
    """Anything that gives crop (112, 112, 3) number i: an array, some rows of one, or shards read as
    needed.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> CropArray: ...


_UNREADABLE = "prepare the set anew; --skip-unreadable leaves out what cannot be read"


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
