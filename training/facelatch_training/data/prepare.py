"""From folders of pictures or other crop sets to one crop set: found, aligned, without duplicates, split."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from facelatch.errors import InputError
from facelatch.values.pictures import Image
from facelatch_training.data.cropping import Cropper, Finder
from facelatch_training.data.crops import decode_crop
from facelatch_training.data.dataset import fingerprint, read_index
from facelatch_training.data.duplicates import Duplicates, across_splits
from facelatch_training.data.shards import ShardWriter
from facelatch_training.data.sources import SourcePicture, known_identities, read_families, source_pictures
from facelatch_training.files import keep_out_of_git
from facelatch_training.montage import ContactSheet

IN_VALIDATION = "in validation under another name"
"""Why a training picture was left out although it is a good one: it would be trained on and judged with."""


@dataclass(frozen=True)
class Options:
    """Settings of `prepare`."""

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
    """How many pictures were kept, and why the others were not."""

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
    families = read_families(options.families)
    splits_before = known_identities(sources)
    with ShardWriter(out) as writer:
        sheet.path.unlink(missing_ok=True)  # of an earlier try
        selection = _Selection(writer, cropper, sheet, families)
        for picture in tqdm(
            source_pictures(sources), desc="prepare", unit="picture", mininterval=1, disable=quiet
        ):
            selection.judge(picture)
        _refuse_unusable(selection.report, writer, options)
        _refuse_singles(writer, options)
        _refuse_strangers(families, selection.people, options)
        splits = split_families({row.identity: row.family for row in writer.rows}, splits_before, options)
        selection.leave_out_leaks(splits)
        _refuse_singles(writer, options)
        writer.finish(splits)
    report, people = selection.report, {row.identity: splits[row.identity] for row in writer.rows}
    report.kept, report.identities = len(writer.rows), len(people)
    report.splits = dict(Counter(people.values()))
    report.fingerprint = fingerprint(read_index(out))
    return report


class _Selection:
    """Which pictures become crops of the set that `writer` writes; `families` are those that were named for people."""

    def __init__(
        self, writer: ShardWriter, cropper: Cropper, sheet: ContactSheet, families: Mapping[str, str]
    ) -> None:
        self.report = Report()
        self.people: set[str] = set()
        """Everybody of whom there was a picture, good or not."""
        self._writer, self._cropper, self._sheet, self._families = writer, cropper, sheet, families
        self._duplicates = Duplicates()
        self._names: list[str] = []
        """Of the pictures that were kept, in the order of the writer's rows."""

    def judge(self, picture: SourcePicture) -> None:
        """Keeps the picture, or throws it away and says why in the report."""
        self.report.pictures += 1
        self.people.add(picture.identity)
        crop, reason, shown = _judged(picture, self._cropper, self._duplicates)
        if crop is None:
            self.report.thrown.setdefault(reason, []).append(picture.name)
            if shown is not None:
                self._sheet.add(f"{reason}: {picture.identity}"[:28], shown)
            return
        family = self._families.get(picture.identity) or picture.family
        self._writer.add(crop, identity=picture.identity, source=picture.source, family=family)
        self._names.append(picture.name)

    def leave_out_leaks(self, splits: Mapping[str, str]) -> None:
        """Reports pictures that stand under two names, and takes those out of training that are in validation, too."""
        names, shared = self._names, self._duplicates.shared()
        self.report.shared = [(names[left], names[right], correlation) for left, right, correlation in shared]
        leaks = across_splits(shared, [splits[row.identity] for row in self._writer.rows])
        for train, validation in leaks.items():
            self.report.thrown.setdefault(IN_VALIDATION, []).append(f"{names[train]} = {names[validation]}")
        # Their bytes stay in the shards, where nobody reads what the table does not name.
        rows = enumerate(self._writer.rows)
        self._writer.rows = [row for number, row in rows if number not in leaks]


def split_families(
    family: Mapping[str, str], splits_before: Mapping[str, str | None], options: Options
) -> dict[str, str]:
    """Identity -> split. A family goes where one of its members was put before, else by a stable hash.

    The hash is of seed and family alone, so people who are added later move nobody. Raises InputError when
    a side stays empty.
    """
    home: dict[str, str] = {}
    for identity, group in family.items():
        before = splits_before.get(identity)
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
    picture: SourcePicture, cropper: Cropper, duplicates: Duplicates
) -> tuple[Image | None, str, Image | None]:
    """(crop, "", None), or (None, why not, what to show)."""
    try:
        crop = decode_crop(picture.data, picture.name) if picture.file is None else cropper(picture.file)
    except InputError as error:
        return None, f"unreadable ({str(error).rpartition(': ')[2]})", None
    if crop is None:
        assert picture.file is not None
        return None, "no face", _thumbnail(cropper, picture.file)
    if duplicates.is_repeat(picture.identity, crop):
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


def _refuse_strangers(families: Mapping[str, str], people: set[str], options: Options) -> None:
    """Raises InputError when the table of families names people of whom there is no picture."""
    if strangers := sorted(families.keys() - people):
        raise InputError(
            f"{options.families}: nobody in the sources is called {', '.join(strangers[:10])}",
            hint="identities are the names of the people's folders; a family that is not known may part relatives",
        )


def _refuse_singles(writer: ShardWriter, options: Options) -> None:
    counts = Counter(row.identity for row in writer.rows)
    singles = sorted(identity for identity, count in counts.items() if count == 1)
    if singles and not options.keep_singles:
        raise InputError(
            f"{len(singles)} people have one usable picture: {', '.join(singles[:10])}",
            hint="add pictures, or keep them as strangers with --keep-singles",
        )


def _thumbnail(cropper: Cropper, file: Path) -> Image:
    return np.asarray(cv2.resize(cropper.reader.read(file), (112, 112), interpolation=cv2.INTER_AREA), np.uint8)
