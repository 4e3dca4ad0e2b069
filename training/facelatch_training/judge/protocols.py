"""What is compared with what: prepared crops, pairs as in Labeled Faces in the Wild, folders of people.

A protocol lists pictures with who they show, and either names its pairs (with folds) or means every picture
against every other. It depends on no verifier, and yields crops in its own order, one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facelatch.decoder.formats import SUFFIXES
from facelatch.errors import InputError
from facelatch.values.pictures import Image
from facelatch.vision.align import CROP_SIZE_PX
from facelatch_training.data.crops import iterate_shard
from facelatch_training.data.dataset import CropIndex, family_of, read_index

Cropper = Callable[[Path], Image | None]
"""Picture file -> aligned crop (112, 112, 3), or None where no face is found."""


@dataclass(frozen=True, eq=False)
class PairList:
    """P comparisons by picture number. `fold` is None where the protocol has no folds."""

    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    fold: npt.NDArray[np.int16] | None = None


@dataclass(frozen=True, eq=False)
class Protocol:
    """N pictures of known people, and which of them are compared."""

    name: str
    """Which data, in words, as it stands beside every figure."""
    pictures: tuple[str, ...] = field(repr=False)
    """(N,) name of each picture, for messages and montages."""
    identities: tuple[str, ...] = field(repr=False)
    """(N,) who it shows."""
    crops: Callable[[], Iterator[tuple[int, Image | None]]] = field(repr=False)
    """Yields (picture number, crop or None) in any order, every picture once."""
    pairs: PairList | None = None
    """None: every picture against every other."""
    families: tuple[str, ...] = field(default=(), repr=False)
    """(N,) whose relatives they are; left out, it is what the names say."""

    def __post_init__(self) -> None:
        if not self.families:
            object.__setattr__(self, "families", tuple(map(family_of, self.identities)))

    @property
    def numbers(self) -> npt.NDArray[np.int32]:
        """(N,) identity number of each picture, by sorted name."""
        _, numbers = np.unique(np.array(self.identities), return_inverse=True)
        return np.asarray(numbers.reshape(-1), np.int32)


def prepared(folder: Path, split: str = "validation") -> Protocol:
    """One split of a crop set: all comparisons. See `balanced_folds` for its pairs with folds.

    Raises InputError for a damaged set and for a split with fewer than two people.
    """
    whole = read_index(folder)
    rows = whole.rows(split)
    # An index of this split alone, so that only its pictures are decoded.
    index = CropIndex(
        folder,
        *(
            tuple(column[row] for row in rows)
            for column in (whole.paths, whole.shards, whole.identities, whole.splits, whole.family)
        ),
    )
    if len(set(index.identities)) < 2:
        raise InputError(
            f"{folder}: {len(set(index.identities))} people in split {split!r}; a comparison needs two",
            hint="prepare more people, or judge on the other --split",
        )

    def crops() -> Iterator[tuple[int, Image | None]]:
        for shard in sorted(set(index.shards)):
            yield from iterate_shard(index, shard)

    return Protocol(
        name=f"split {split!r} of {folder.name}",
        pictures=index.paths,
        identities=index.identities,
        crops=crops,
        families=index.family,
    )


def gather(protocol: Protocol) -> npt.NDArray[np.uint8]:
    """All crops (N, 112, 112, 3) of a protocol in memory. Raises InputError when a picture has none."""
    crops = np.zeros((len(protocol.pictures), CROP_SIZE_PX, CROP_SIZE_PX, 3), np.uint8)
    for number, crop in protocol.crops():
        if crop is None:
            raise InputError(f"{protocol.pictures[number]}: no face found", hint="prepare the pictures first")
        crops[number] = crop
    return crops


def balanced_folds(
    identities: Sequence[str], families: Sequence[str] | None = None, *, folds: int = 10, seed: int = 0
) -> PairList:
    """Seeded pairs in the manner of LFW: as many genuine as impostor pairs, folds disjoint by family.

    `families` (N,) as in `Protocol`; None: what the names say. At most five genuine pairs a person; the
    impostors are drawn within the fold, relatives included.
    """
    rng = np.random.default_rng([seed, folds])
    group = [family_of(identity) for identity in identities] if families is None else families
    home = {family: number % folds for number, family in enumerate(rng.permutation(sorted(set(group))))}
    fold_of = np.array([home[family] for family in group])
    _, numbers = np.unique(np.array(identities), return_inverse=True)
    first: list[int] = []
    second: list[int] = []
    fold: list[int] = []
    for current in range(folds):
        members = np.flatnonzero(fold_of == current)
        genuine = _genuine_pairs(members, numbers, rng)
        impostor = _impostor_pairs(members, numbers, len(genuine), rng)
        for left, right in (*genuine, *impostor):
            first.append(left)
            second.append(right)
            fold.append(current)
    return PairList(np.array(first, np.int64), np.array(second, np.int64), np.array(fold, np.int16))


def people(folder: Path, cropper: Cropper) -> Protocol:
    """One folder per person: all comparisons. Raises InputError where there is nothing to compare."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder", hint="give a folder that holds one folder per person")
    files = [
        (person.name, file)
        for person in sorted(folder.iterdir())
        if person.is_dir()
        for file in _pictures(person)
    ]
    names = {name for name, _ in files}
    if len(names) < 2:
        raise InputError(
            f"{folder}: pictures of {len(names)} people; a comparison needs two",
            hint="one folder per person, each with pictures (.jpg, .png, .webp)",
        )
    if len(names) == len(files):
        raise InputError(
            f"{folder}: one picture of each person; genuine comparisons need two of somebody",
            hint="add a second picture of somebody",
        )
    return _from_files(
        f"people in {folder.name}", [name for name, _ in files], [file for _, file in files], cropper, None
    )


def lfw_pairs(table: Path, images: Path, cropper: Cropper) -> Protocol:
    """A pairs file of Labeled Faces in the Wild over a folder `NAME/NAME_0001.jpg` (or png, webp; or flat).

    Lines are `name n m` or `name n other m`, split at tabs or blanks; a first line `folds size` gives folds
    of `size` genuine and `size` impostor pairs each, a first line with one number a list without folds.
    Raises InputError naming file and line for anything else, and listing pictures that are not there.
    """
    entries, fold = _read_pairs(table)
    sides = sorted({side for pair in entries for side in pair})
    file_of = {side: _find(images, *side) for side in sides}
    missing = [f"{name}_{number:04d}" for (name, number), file in file_of.items() if file is None]
    if missing:
        name, number = sides[0]
        shown = ", ".join(missing[:10]) + (", ..." if len(missing) > 10 else "")
        raise InputError(
            f"{images}: {len(missing)} of the {len(sides)} pictures in {table.name} are missing: {shown}",
            hint=f"expected {name}/{name}_{number:04d}.jpg (or .png, .webp) in that folder",
        )
    place = {side: number for number, side in enumerate(sides)}
    pairs = PairList(
        np.array([place[left] for left, _ in entries], np.int64),
        np.array([place[right] for _, right in entries], np.int64),
        fold,
    )
    files = [file for file in file_of.values() if file is not None]
    return _from_files(f"{table.name} over {images.name}", [name for name, _ in sides], files, cropper, pairs)


def _from_files(
    name: str, identities: Sequence[str], files: Sequence[Path], cropper: Cropper, pairs: PairList | None
) -> Protocol:
    def crops() -> Iterator[tuple[int, Image | None]]:
        for number, file in enumerate(files):
            yield number, cropper(file)

    shown = tuple(f"{file.parent.name}/{file.name}" for file in files)
    return Protocol(name=name, pictures=shown, identities=tuple(identities), crops=crops, pairs=pairs)


def _pictures(folder: Path) -> list[Path]:
    """Also in folders of a person's folder, such as anchors and positives."""
    return sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())


def _find(images: Path, name: str, number: int) -> Path | None:
    for stem in (f"{name}_{number:04d}", f"{name}_{number}"):
        for folder in (images / name, images):
            for suffix in SUFFIXES:
                for written in (suffix, suffix.upper()):
                    if (file := folder / f"{stem}{written}").is_file():
                        return file
    return None


Side = tuple[str, int]


def _read_pairs(table: Path) -> tuple[list[tuple[Side, Side]], npt.NDArray[np.int16] | None]:
    try:
        lines = table.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"{table}: {error.strerror}", hint="name the pairs file with --pairs") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{table}: not a text file in UTF-8", hint="save it as UTF-8") from error
    rows = [(number, _fields(line)) for number, line in enumerate(lines, start=1) if line.strip()]
    folds, size = 0, 0
    if rows and len(rows[0][1]) <= 2:
        header = rows.pop(0)[1]
        if not all(word.isdecimal() for word in header):
            raise InputError(
                f"{table}:1: {' '.join(header)!r} is neither a pair nor `folds size`",
                hint="lines are `name n m` or `name n other m`",
            )
        folds, size = (int(header[0]), int(header[1])) if len(header) == 2 else (1, int(header[0]))
        if folds * size * 2 != len(rows):
            raise InputError(
                f"{table}: the first line promises {folds} x 2 x {size} pairs, the file has {len(rows)}",
                hint="the file is cut short, or its first line belongs to another one",
            )
    if not rows:
        raise InputError(f"{table}: no pairs in it", hint="lines are `name n m` or `name n other m`")
    entries = [_entry(table, number, words) for number, words in rows]
    if folds < 2:
        return entries, None
    return entries, (np.arange(len(entries)) // (2 * size)).astype(np.int16)


def _fields(line: str) -> list[str]:
    return [word.strip() for word in (line.split("\t") if "\t" in line else line.split()) if word.strip()]


def _entry(table: Path, number: int, words: list[str]) -> tuple[Side, Side]:
    if len(words) == 3 and words[1].isdecimal() and words[2].isdecimal():
        return (words[0], int(words[1])), (words[0], int(words[2]))
    if len(words) == 4 and words[1].isdecimal() and words[3].isdecimal():
        return (words[0], int(words[1])), (words[2], int(words[3]))
    raise InputError(
        f"{table}:{number}: {' '.join(words)!r} is no pair", hint="lines are `name n m` or `name n other m`"
    )


def _genuine_pairs(
    members: npt.NDArray[np.int64], numbers: npt.NDArray[np.int64], rng: np.random.Generator
) -> list[tuple[int, int]]:
    chosen: list[tuple[int, int]] = []
    for person in np.unique(numbers[members]):
        own = members[numbers[members] == person]
        left, right = np.triu_indices(len(own), 1)
        picks = rng.permutation(len(left))[:5]
        chosen += [(int(own[left[pick]]), int(own[right[pick]])) for pick in picks]
    return chosen


def _impostor_pairs(
    members: npt.NDArray[np.int64], numbers: npt.NDArray[np.int64], count: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    chosen: list[tuple[int, int]] = []
    if len(np.unique(numbers[members])) < 2:
        return chosen
    while len(chosen) < count:
        left, right = (int(pick) for pick in rng.choice(members, 2, replace=False))
        if numbers[left] != numbers[right]:
            chosen.append((left, right))
    return chosen
