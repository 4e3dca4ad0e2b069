"""What a crop set is made of: folders with one folder per person, other crop sets, and a table of families."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from facelatch.decoder.formats import OTHER_SUFFIXES, SUFFIXES
from facelatch.errors import InputError
from facelatch_training.data.dataset import family_of, iterate_files, read_index


@dataclass(frozen=True)
class SourcePicture:
    """One picture as a source has it: who it shows, what it is called there, and whose family that is."""

    identity: str
    name: str
    source: str
    family: str
    file: Path | None = None
    data: bytes = field(default=b"", repr=False)
    """Where there is no file: the bytes of a finished crop."""


def known_identities(sources: Sequence[Path]) -> dict[str, str | None]:
    """Everybody in the sources, with the split a crop set put them in. Raises InputError as `prepare` says."""
    splits: dict[str, str | None] = {}
    home: dict[str, Path] = {}
    for source in sources:
        if not source.is_dir():
            raise InputError(
                f"{source}: no such folder", hint="give a folder of people, or of faces.csv and shards"
            )
        if (source / "faces.csv").is_file():
            index = read_index(source)
            people: dict[str, str | None] = dict(zip(index.identities, index.splits, strict=True))
        else:
            people = {person.name: None for person in _people(source)}
        for identity, split in people.items():
            if home.setdefault(identity, source) != source:
                raise InputError(
                    f"{identity}: is in {home[identity].name} and in {source.name}",
                    hint="put one person's pictures into one folder, or rename one of two people",
                )
            splits[identity] = split
    return splits


def source_pictures(sources: Sequence[Path]) -> Iterator[SourcePicture]:
    """All pictures of all sources, in the order of the sources."""
    for source in sources:
        if (source / "faces.csv").is_file():
            index = read_index(source)
            for shard in sorted(set(index.shards)):
                for row, data in iterate_files(index, shard):
                    yield SourcePicture(
                        identity=index.identities[row],
                        name=index.paths[row],
                        source=source.name,
                        family=index.family[row],
                        data=data,
                    )
        else:
            for person in _people(source):
                for file in _files(person):
                    name = str(file.relative_to(source))
                    yield SourcePicture(
                        identity=person.name,
                        name=name,
                        source=source.name,
                        family=family_of(person.name),
                        file=file,
                    )


def _people(source: Path) -> list[Path]:
    folders = sorted(entry for entry in source.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not folders:
        raise InputError(f"{source}: no folder in it", hint="one folder per person, each with pictures")
    for person in folders:
        if not _files(person):
            raise InputError(f"{person}: no picture in it", hint=f"pictures end in {', '.join(SUFFIXES)}")
    return folders


def _files(person: Path) -> list[Path]:
    """All pictures, also of kinds that are not read: what is left out has to be seen."""
    named = SUFFIXES + OTHER_SUFFIXES
    return sorted(file for file in person.rglob("*") if file.suffix.lower() in named and file.is_file())


def read_families(table: Path | None) -> dict[str, str]:
    """Identity -> family, from a csv with these columns; empty without one. Raises InputError for a faulty table."""
    if table is None:
        return {}
    if not table.is_file():
        raise InputError(f"{table}: no such file", hint="a csv with the columns identity and family")
    try:
        with table.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            columns, rows = set(reader.fieldnames or []), list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{table}: not a csv file in UTF-8: {error}", hint="save it as UTF-8") from error
    if not {"identity", "family"} <= columns:
        raise InputError(
            f"{table}: needs the columns identity and family", hint="name them in the first line"
        )
    for number, row in enumerate(rows, start=2):
        if not (row["identity"] and row["family"]):
            raise InputError(
                f"{table}: line {number} lacks identity or family",
                hint="leave out who has no known relatives",
            )
    return {row["identity"]: row["family"] for row in rows}
