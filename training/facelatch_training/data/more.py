"""Pictures that come beside a crop set, with a table of their own: people also in profile, and single pictures.

The table (`more.csv`) has the columns of a crop set's `faces.csv` and `source`; its split may be `unlabelled`.
`same-person-in-faces.csv` names those of its people who are in the crop set, too, under another name, and
`same-person-inside.csv` those who are in the table twice.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from facelatch.errors import InputError
from facelatch_training.data.crops import CropArray, iterate_shard
from facelatch_training.data.dataset import CropIndex

TABLE = "more.csv"
ALSO_IN_FACES = "same-person-in-faces.csv"
TWICE = "same-person-inside.csv"


@dataclass(frozen=True, eq=False)
class MorePictures:
    """N crops with who they show, as the table calls them, and where they come from."""

    crops: CropArray = field(repr=False)
    """(N, 112, 112, 3)."""
    identities: tuple[str, ...]
    sources: tuple[str, ...]


def also_in_faces(folder: Path) -> dict[str, str]:
    """Of the people in `folder` who are in the crop set, too: their names here and there."""
    rows = _rows(folder / ALSO_IN_FACES, ("identity", "identity in faces.csv"))
    return {row["identity"]: row["identity in faces.csv"] for row in rows}


def second_names(folder: Path) -> set[str]:
    """The second names of people who are in the table under two: two of one person are no impostors."""
    return {row["identity2"] for row in _rows(folder / TWICE, ("identity", "identity2"))}


def read_more(folder: Path, wanted: Callable[[str, str], bool]) -> MorePictures:
    """The crops of everybody for whom `wanted` (identity, source) holds, in the order of the table.

    Raises InputError for a table or a shard that is missing or faulty.
    """
    rows = [
        row
        for row in _rows(folder / TABLE, ("path", "identity", "source", "shard"))
        if wanted(row["identity"], row["source"])
    ]
    names = tuple(row["identity"] for row in rows)
    index = CropIndex(
        folder=folder,
        paths=tuple(row["path"] for row in rows),
        shards=tuple(row["shard"] for row in rows),
        identities=names,
        splits=("unlabelled",) * len(rows),
        family=names,
    )
    crops = np.zeros((len(rows), 112, 112, 3), np.uint8)
    for shard in sorted(set(index.shards)):
        for row, crop in iterate_shard(index, shard):
            crops[row] = crop
    return MorePictures(crops, names, tuple(row["source"] for row in rows))


def _rows(table: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    try:
        with table.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            rows = list(reader)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{table}: {error}", hint=f"a table with the columns {', '.join(columns)}") from error
    lacking = [name for name in columns if name not in (reader.fieldnames or ())]
    if lacking:
        raise InputError(f"{table}: no column {', '.join(lacking)}", hint="copy the file again")
    return rows
