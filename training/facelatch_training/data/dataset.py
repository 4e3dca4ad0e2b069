"""The table of a crop set: who is in it, on which side of the split, in which shard; and its fingerprint.

A *crop set* is a folder with `faces.csv` (columns path, identity, split and shard; more are allowed) and
the tar shards it names, each holding 112x112 crops made by `facelatch.vision.align`. A column `family` says who is
related; where it is missing or empty, the identity's name may say so; a column `align_version` must be this
program's. The split is by identity and by family, and this module refuses a set in which it is not.
"""

from __future__ import annotations

import csv
import hashlib
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facelatch.errors import InputError
from facelatch.vision.align import ALIGN_VERSION

REQUIRED_COLUMNS = ("path", "identity", "split", "shard")

SPLITS = ("train", "validation")

FAMILY = re.compile(r"(?:f|v)?(F\d+)MID\d+$")


def family_of(identity: str) -> str:
    """The family an identity belongs to (`fF0039MID4` -> `F0039`); people without a known family are their
    own.
    """
    match = FAMILY.search(identity)
    return match.group(1) if match else identity


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
    line_of: dict[tuple[str, str], int] = {}
    for line, row in enumerate(rows, start=2):
        _check_row(row, f"{table}:{line}")
        before = line_of.setdefault((row["shard"], row["path"]), line)
        if before != line:
            raise InputError(
                f"{table}:{line}: names {row['path']} in {row['shard']}, as line {before} does",
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


def _check_row(row: dict[str, str], place: str) -> None:
    """Raises InputError for a row that is faulty by itself; `place` is its file and line."""
    lacking = [column for column in REQUIRED_COLUMNS if not row[column]]
    if lacking:
        raise InputError(
            f"{place}: no {', '.join(lacking)} in this row",
            hint="the file is cut short or was edited; copy it again, or prepare the set anew",
        )
    if row["split"] not in SPLITS:
        raise InputError(f"{place}: split {row['split']!r}", hint=f"allowed: {', '.join(SPLITS)}")
    if row.get("align_version") not in (None, "", str(ALIGN_VERSION)):
        raise InputError(
            f"{place}: align_version {row['align_version']}, this program aligns by {ALIGN_VERSION}",
            hint="prepare the pictures again",
        )


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


FEW_PEOPLE = 10
"""Fewer in validation tell little: of six genuine comparisons a person, one more or less is a whole per cent."""


def of_few(people: int) -> str:
    """What to say of a validation split of `people`; empty when they are not too few."""
    if people >= FEW_PEOPLE:
        return ""
    return (
        f"{people} {'person' if people == 1 else 'people'} to judge by: error rates of so few say little. Collect more "
        "people, or prepare with a larger --validation, before the training"
    )


def fingerprint(index: CropIndex) -> str:
    """SHA-256 over the table and the bytes of every shard: which data a run has seen."""
    digest = hashlib.sha256((index.folder / "faces.csv").read_bytes())
    for shard in sorted(set(index.shards)):
        with (index.folder / shard).open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def iterate_files(index: CropIndex, shard: str) -> Iterator[tuple[int, bytes]]:
    """Yield (row, bytes of the picture file) as `iterate_shard` does, not yet decoded."""
    row_of = {path: row for row, path in enumerate(index.paths) if index.shards[row] == shard}
    try:
        with tarfile.open(index.folder / shard) as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.name in row_of else None
                if stream is not None:
                    yield row_of.pop(member.name), stream.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InputError(
            f"{index.folder / shard}: not a whole tar file: {error}",
            hint="copy it again, or prepare the set anew",
        ) from error
    if row_of:
        first = next(iter(row_of))
        raise InputError(
            f"{index.folder / 'faces.csv'}: names {len(row_of)} files that {shard} does not hold, "
            f"the first is {first}",
            hint="table and shards belong together; copy the whole folder again",
        )
