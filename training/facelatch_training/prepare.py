"""From folders of pictures or other crop sets to one crop set: found, aligned, without duplicates, split."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from facelatch.errors import InputError
from facelatch.images import SUFFIXES
from facelatch.values import Image
from facelatch_training.cropping import Cropper, Finder
from facelatch_training.dataset import family_of, fingerprint, iterate_shard, read_index
from facelatch_training.plots import keep_out_of_git, write_montage
from facelatch_training.shards import ShardWriter

SAME_PICTURE = 0.985
"""Correlation of two small grey faces from which they are one picture, cut or coloured otherwise."""

_THUMB_PX = 24
_FACE = (slice(20, 104), slice(16, 96))
"""The face in a crop: black corners would make all crops alike."""
_MAX_SHOWN = 240


@dataclass(frozen=True)
class Options:
    """How a crop set is made."""

    validation_share: float = 0.1
    seed: int = 0
    keep_singles: bool = False
    """People with one picture make no genuine comparison, only strangers."""
    skip_unreadable: bool = False
    families: Path | None = None
    """A csv with the columns identity and family; without it the names of Families in the Wild are understood."""


@dataclass
class Report:
    """What became of the pictures."""

    pictures: int = 0
    kept: int = 0
    identities: int = 0
    thrown: dict[str, list[str]] = field(default_factory=dict)
    """Reason -> pictures."""
    shared: list[tuple[str, str, float]] = field(default_factory=list)
    """The same picture under two identities: kept, but to be looked at."""
    splits: dict[str, int] = field(default_factory=dict)
    """Split -> identities."""
    fingerprint: str = ""


@dataclass(frozen=True)
class _Picture:
    identity: str
    name: str
    source: str
    file: Path | None
    crop: Image | None = field(default=None, repr=False)
    split: str | None = None


def prepare(
    sources: Sequence[Path],
    out: Path,
    *,
    finder: Finder | None,
    options: Options | None = None,
    quiet: bool = False,
) -> Report:
    """Makes the crop set `out` of `sources`, and `OUT-thrown-away.png` beside it.

    A source is a crop set (its split is kept) or a folder with one folder per person. `finder` None: the
    pictures are aligned crops. Raises InputError, nothing written, for: an empty source, a person in two
    sources, people with one picture, unreadable pictures, a csv that names a missing file, a split with an
    empty side, an `out` that exists or lies in a git checkout.
    """
    wanted = options or Options()
    keep_out_of_git(out)
    families = _read_families(wanted.families)
    splits = _known_identities(sources)
    report, cropper = Report(), Cropper(finder)
    thumbs = _Thumbs()
    sheet: list[tuple[str, list[Image]]] = []
    with ShardWriter(out) as writer:
        for picture in tqdm(_pictures(sources), desc="prepare", unit="picture", mininterval=1, disable=quiet):
            report.pictures += 1
            crop, reason, shown = _judged(picture, cropper, thumbs)
            if crop is None:
                report.thrown.setdefault(reason, []).append(picture.name)
                if shown is not None and len(sheet) < _MAX_SHOWN:
                    sheet.append((f"{reason}: {picture.identity}"[:28], [shown]))
                continue
            family = families.get(picture.identity, family_of(picture.identity))
            writer.add(crop, identity=picture.identity, source=picture.source, family=family)
        _refuse_bad(report, writer, wanted)
        report.shared = thumbs.shared()
        of_family = {row.identity: row.family for row in writer.rows}
        chosen = split_families(of_family, splits, wanted)
        writer.finish(chosen)
    report.kept, report.identities = len(writer.rows), len(chosen)
    for side in chosen.values():
        report.splits[side] = report.splits.get(side, 0) + 1
    if sheet:
        write_montage(sheet, out.with_name(out.name + "-thrown-away.png"), columns=10)
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


class _Thumbs:
    """Small grey faces of everything kept, to tell whether a picture was seen before."""

    def __init__(self) -> None:
        self._rows: dict[str, list[npt.NDArray[np.float32]]] = {}
        self._names: dict[str, list[str]] = {}

    def seen(self, identity: str, crop: Image, name: str) -> bool:
        """Whether `identity` has this very picture; remembers it otherwise."""
        face = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)[_FACE]
        small = cv2.resize(face, (_THUMB_PX, _THUMB_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
        row = small.ravel() - small.mean()
        row /= max(float(np.linalg.norm(row)), 1e-6)
        earlier = self._rows.setdefault(identity, [])
        if earlier and float((np.stack(earlier) @ row).max()) > SAME_PICTURE:
            return True
        earlier.append(row)
        self._names.setdefault(identity, []).append(name)
        return False

    def shared(self) -> list[tuple[str, str, float]]:
        """Pairs of pictures that are one picture under two identities. N^2 products, 1,024 rows at a time."""
        owners = np.array([identity for identity, rows in self._rows.items() for _ in rows])
        names = [name for group in self._names.values() for name in group]
        if len(names) < 2:
            return []
        table = np.concatenate([np.stack(rows) for rows in self._rows.values() if rows])
        found = []
        for start in range(0, len(table), 1024):
            alike = table[start : start + 1024] @ table[start:].T
            for left, right in zip(*np.nonzero(alike > SAME_PICTURE), strict=True):
                if right > left and owners[start + left] != owners[start + right]:
                    found.append((names[start + left], names[start + right], float(alike[left, right])))
        return found


def _judged(picture: _Picture, cropper: Cropper, thumbs: _Thumbs) -> tuple[Image | None, str, Image | None]:
    """(crop, "", None), or (None, why not, what to show)."""
    crop = picture.crop
    if crop is None:
        assert picture.file is not None
        try:
            crop = cropper(picture.file)
        except InputError as error:
            return None, f"unreadable ({str(error).rpartition(': ')[2]})", None
        if crop is None:
            return None, "no face", _thumbnail(picture.file)
    if thumbs.seen(picture.identity, crop, picture.name):
        return None, "same picture", crop
    return crop, "", None


def _refuse_bad(report: Report, writer: ShardWriter, options: Options) -> None:
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
    counts: dict[str, int] = {}
    for row in writer.rows:
        counts[row.identity] = counts.get(row.identity, 0) + 1
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
                for row, crop in iterate_shard(index, shard):
                    yield _Picture(
                        index.identities[row], index.paths[row], source.name, None, crop, index.splits[row]
                    )
        else:
            for person in _people(source):
                for file in _files(person):
                    yield _Picture(person.name, str(file.relative_to(source)), source.name, file)


def _people(source: Path) -> list[Path]:
    folders = sorted(entry for entry in source.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not folders:
        raise InputError(f"{source}: no folder in it", hint="one folder per person, each with pictures")
    for person in folders:
        if not _files(person):
            raise InputError(f"{person}: no picture in it", hint=f"pictures end in {', '.join(SUFFIXES)}")
    return folders


def _files(person: Path) -> list[Path]:
    return sorted(file for file in person.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())


def _thumbnail(file: Path) -> Image:
    from facelatch.images import read_image

    return np.asarray(cv2.resize(read_image(file), (112, 112), interpolation=cv2.INTER_AREA), np.uint8)


def _read_families(table: Path | None) -> dict[str, str]:
    if table is None:
        return {}
    if not table.is_file():
        raise InputError(f"{table}: no such file", hint="a csv with the columns identity and family")
    with table.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        if not {"identity", "family"} <= set(reader.fieldnames or []):
            raise InputError(f"{table}: needs the columns identity and family")
        return {row["identity"]: row["family"] for row in reader}
