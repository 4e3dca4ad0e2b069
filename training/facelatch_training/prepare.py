"""From folders of pictures or other crop sets to one crop set: found, aligned, without duplicates, split."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from facelatch.decoder.formats import OTHER_SUFFIXES, SUFFIXES
from facelatch.errors import InputError
from facelatch.values.pictures import Image
from facelatch_training.cropping import Cropper, Finder
from facelatch_training.dataset import decode_crop, family_of, fingerprint, iterate_files, read_index
from facelatch_training.duplicates import Duplicates, across_splits
from facelatch_training.plots import ContactSheet, keep_out_of_git
from facelatch_training.shards import ShardWriter

IN_VALIDATION = "in validation under another name"
"""Why a training picture was left out although it is a good one: it would be trained on and judged with."""


@dataclass(frozen=True)
class Options:
    """How a crop set is made."""

    validation_share: float = 0.1
    seed: int = 0
    keep_singles: bool = False
    """People with one picture make no genuine comparison, only strangers."""
    skip_unreadable: bool = False
    families: Path | None = None
    """A csv with the columns identity and family. Who is not in it has the family of the source's own table, or
    else the one that names in the manner of Families in the Wild tell."""


@dataclass
class Report:
    """What became of the pictures."""

    pictures: int = 0
    kept: int = 0
    identities: int = 0
    thrown: dict[str, list[str]] = field(default_factory=dict)
    """Reason -> pictures."""
    sheet: Path | None = None
    """A contact sheet of what was thrown away."""
    not_shown: int = 0
    """Pictures for which that sheet had no room."""
    shared: list[tuple[str, str, float]] = field(default_factory=list)
    """The same picture under two identities, to be looked at: kept, unless one of the two is in validation."""
    splits: dict[str, int] = field(default_factory=dict)
    """Split -> identities."""
    fingerprint: str = ""


@dataclass(frozen=True)
class _Picture:
    identity: str
    name: str
    source: str
    family: str
    file: Path | None = None
    data: bytes = field(default=b"", repr=False)
    """Where there is no file: the bytes of a finished crop."""


def prepare(
    sources: Sequence[Path],
    out: Path,
    *,
    finder: Finder | None,
    options: Options | None = None,
    quiet: bool = False,
) -> Report:
    """Makes the crop set `out` of `sources`, and `OUT-thrown-away.png` beside it, even when it refuses.

    A source is a crop set (its split and families are kept) or a folder with one folder per person. `finder`
    None: the pictures are aligned crops. Raises InputError, no crop set written, for: an empty source, a
    person in two sources, people with one picture, unreadable pictures, a csv that names a missing file, a
    split with an empty side, an `out` that exists or lies in a git checkout.
    """
    sheet = ContactSheet(out.with_name(out.name + "-thrown-away.png"))
    keep_out_of_git(out)
    keep_out_of_git(sheet.path)
    try:
        report = _prepare(sources, out, Cropper(finder), options or Options(), sheet, quiet)
    except InputError as error:
        if sheet.write():
            raise InputError(str(error), hint=f"{error.hint}; see {sheet.path}") from error
        raise
    report.sheet = sheet.path if sheet.write() else None
    report.not_shown = sheet.not_shown
    return report


def _prepare(
    sources: Sequence[Path], out: Path, cropper: Cropper, options: Options, sheet: ContactSheet, quiet: bool
) -> Report:
    families = _read_families(options.families)
    known = _known_identities(sources)
    report, duplicates = Report(), Duplicates()
    names: list[str] = []
    seen: set[str] = set()
    with ShardWriter(out) as writer:
        sheet.path.unlink(missing_ok=True)  # of an earlier try
        for picture in tqdm(_pictures(sources), desc="prepare", unit="picture", mininterval=1, disable=quiet):
            report.pictures += 1
            seen.add(picture.identity)
            crop, reason, shown = _judged(picture, cropper, duplicates)
            if crop is None:
                report.thrown.setdefault(reason, []).append(picture.name)
                if shown is not None:
                    sheet.add(f"{reason}: {picture.identity}"[:28], shown)
                continue
            family = families.get(picture.identity) or picture.family
            writer.add(crop, identity=picture.identity, source=picture.source, family=family)
            names.append(picture.name)
        _refuse_unusable(report, writer, options)
        _refuse_singles(writer, options)
        if strangers := sorted(families.keys() - seen):
            raise InputError(
                f"{options.families}: nobody in the sources is called {', '.join(strangers[:10])}",
                hint="identities are the names of the people's folders; a family that is not known may part relatives",
            )
        splits = split_families({row.identity: row.family for row in writer.rows}, known, options)
        shared = duplicates.shared()
        report.shared = [(names[left], names[right], alike) for left, right, alike in shared]
        leaks = across_splits(shared, [splits[row.identity] for row in writer.rows])
        for train, validation in leaks.items():
            report.thrown.setdefault(IN_VALIDATION, []).append(f"{names[train]} = {names[validation]}")
        # Their bytes stay in the shards, where nobody reads what the table does not name.
        writer.rows = [row for number, row in enumerate(writer.rows) if number not in leaks]
        _refuse_singles(writer, options)
        writer.finish(splits)
    people = {row.identity: splits[row.identity] for row in writer.rows}
    report.kept, report.identities = len(writer.rows), len(people)
    for side in people.values():
        report.splits[side] = report.splits.get(side, 0) + 1
    report.fingerprint = fingerprint(read_index(out))
    return report


def split_families(
    family: Mapping[str, str], known: Mapping[str, str | None], options: Options
) -> dict[str, str]:
    """Identity -> split. A family goes where one of its members was put before, else by a stable hash.

    The hash is of seed and family alone, so people who are added later move nobody. Raises InputError when
    a side stays empty.
    """
    home: dict[str, str] = {}
    for identity, group in family.items():
        before = known.get(identity)
        if before is not None and home.setdefault(group, before) != before:
            raise InputError(
                f"{identity}: relatives stand on both sides of the split", hint="split by family"
            )
    for group in family.values():
        if group not in home:
            digest = hashlib.sha256(f"{options.seed}:{group}".encode()).digest()
            share = int.from_bytes(digest[:8], "big") / 2**64
            home[group] = "validation" if share < options.validation_share else "train"
    chosen = {identity: home[group] for identity, group in family.items()}
    for side in ("train", "validation"):
        if side not in chosen.values():
            raise InputError(
                f"no identity of {len(chosen)} falls into the {side} split",
                hint="more people, another --seed, or another --validation share",
            )
    return chosen


def _judged(
    picture: _Picture, cropper: Cropper, duplicates: Duplicates
) -> tuple[Image | None, str, Image | None]:
    """(crop, "", None), or (None, why not, what to show)."""
    try:
        crop = decode_crop(picture.data, picture.name) if picture.file is None else cropper(picture.file)
    except InputError as error:
        return None, f"unreadable ({str(error).rpartition(': ')[2]})", None
    if crop is None:
        assert picture.file is not None
        return None, "no face", _thumbnail(cropper, picture.file)
    if duplicates.seen(picture.identity, crop):
        return None, "same picture", crop
    return crop, "", None


def _refuse_unusable(report: Report, writer: ShardWriter, options: Options) -> None:
    unreadable = [
        f"{name}: {reason}"
        for reason, names in report.thrown.items()
        for name in names
        if reason.startswith("unreadable")
    ]
    if unreadable and not options.skip_unreadable:
        raise InputError(
            f"{len(unreadable)} pictures cannot be used:\n  " + "\n  ".join(unreadable[:10]),
            hint="mend or remove them, or leave them out with --skip-unreadable",
        )
    if not writer.rows:
        raise InputError(f"no face found in any of {report.pictures} pictures", hint="try another --finder")


def _refuse_singles(writer: ShardWriter, options: Options) -> None:
    counts = Counter(row.identity for row in writer.rows)
    singles = sorted(identity for identity, count in counts.items() if count == 1)
    if singles and not options.keep_singles:
        raise InputError(
            f"{len(singles)} people have one usable picture: {', '.join(singles[:10])}",
            hint="add pictures, or keep them as strangers with --keep-singles",
        )


def _known_identities(sources: Sequence[Path]) -> dict[str, str | None]:
    """Everybody in the sources, with the split a crop set put them in. Raises InputError as `prepare` says."""
    known: dict[str, str | None] = {}
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
            known[identity] = split
    return known


def _pictures(sources: Sequence[Path]) -> Iterator[_Picture]:
    for source in sources:
        if (source / "faces.csv").is_file():
            index = read_index(source)
            for shard in sorted(set(index.shards)):
                for row, data in iterate_files(index, shard):
                    yield _Picture(
                        index.identities[row], index.paths[row], source.name, index.family[row], data=data
                    )
        else:
            for person in _people(source):
                for file in _files(person):
                    name = str(file.relative_to(source))
                    yield _Picture(person.name, name, source.name, family_of(person.name), file)


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


def _thumbnail(cropper: Cropper, file: Path) -> Image:
    return np.asarray(cv2.resize(cropper.reader.read(file), (112, 112), interpolation=cv2.INTER_AREA), np.uint8)


def _read_families(table: Path | None) -> dict[str, str]:
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
        raise InputError(f"{table}: needs the columns identity and family", hint="name them in the first line")
    for number, row in enumerate(rows, start=2):
        if not (row["identity"] and row["family"]):
            raise InputError(
                f"{table}: line {number} lacks identity or family", hint="leave out who has no known relatives"
            )
    return {row["identity"]: row["family"] for row in rows}
