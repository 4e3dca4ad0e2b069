"""Crop sets: read whole or refused with the reason; nobody stands on both sides of the split."""

from __future__ import annotations

import csv
import errno
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facelatch.decoder.reader import read_image
from facelatch.errors import InputError
from facelatch.values.pictures import Box, Face, Image
from facelatch.vision.align import ALIGN_VERSION
from facelatch_training.data.cropping import Cropper
from facelatch_training.data.crops import RowsOf, ShardedCrops, decode_crop, iterate_shard, load_crops
from facelatch_training.data.dataset import family_of, fingerprint, read_index
from facelatch_training.data.made_faces import write_crop_set
from facelatch_training.data.shards import encode

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
Row = dict[str, str]


@pytest.fixture
def crop_set(tmp_path: Path) -> Path:
    return write_crop_set(tmp_path / "set", people=16, pictures=2)


def rewrite(folder: Path, change: Callable[[list[Row]], list[Row]]) -> None:
    table = folder / "faces.csv"
    with table.open(newline="") as stream:
        rows = change(list(csv.DictReader(stream)))
    with table.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]) if rows else ["path", "identity", "split", "shard"])
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize(
    ("identity", "family"),
    [("fF0039MID4", "F0039"), ("F0001MID12", "F0001"), ("c1234", "c1234"), ("Frida", "Frida")],
)
def test_relatives_share_a_family_and_strangers_are_their_own(identity: str, family: str) -> None:
    assert family_of(identity) == family


def test_crops_of_another_alignment_are_refused(crop_set: Path) -> None:
    assert len(read_index(crop_set)) == 32  # a set made elsewhere need not tell
    rewrite(crop_set, lambda rows: [row | {"align_version": str(ALIGN_VERSION)} for row in rows])
    assert len(read_index(crop_set)) == 32
    rewrite(crop_set, lambda rows: [*rows[:-1], rows[-1] | {"align_version": str(ALIGN_VERSION + 1)}])
    with pytest.raises(InputError, match=rf"faces\.csv:33: align_version {ALIGN_VERSION + 1}"):
        read_index(crop_set)


def test_the_golden_crop_reaches_training_as_the_door_sees_it() -> None:
    """Found, aligned, put into a shard and read from it, bit by bit."""

    class KnownFace:
        def find(self, image: Image) -> list[Face]:
            landmarks = json.loads((GOLDEN / "golden.json").read_text())["landmarks"]["small"]
            box = Box(0, 0, image.shape[1], image.shape[0])
            return [Face(box, np.array(landmarks, np.float32), 0.9)]

    crop = Cropper(KnownFace())(GOLDEN / "picture.png")
    assert crop is not None
    read = decode_crop(encode(crop), "golden")
    assert np.array_equal(read, read_image(GOLDEN / "crop-small.png"))


def test_no_identity_and_no_family_is_on_both_sides(crop_set: Path) -> None:
    index = read_index(crop_set)
    sides = {s: {family_of(index.identities[r]) for r in index.rows(s)} for s in ("train", "validation")}
    assert sides["train"]
    assert sides["validation"]
    assert not sides["train"] & sides["validation"]


def test_a_family_on_both_sides_is_refused(crop_set: Path) -> None:
    def move_one(rows: list[Row]) -> list[Row]:
        rows[0] |= {"split": "validation" if rows[0]["split"] == "train" else "train"}
        return rows

    rewrite(crop_set, move_one)
    with pytest.raises(InputError, match="both train and validation"):
        read_index(crop_set)


def test_an_unknown_split_is_refused_with_its_line(crop_set: Path) -> None:
    rewrite(crop_set, lambda rows: [rows[0] | {"split": "test"}, *rows[1:]])
    with pytest.raises(InputError, match=r"faces\.csv:2: split 'test'"):
        read_index(crop_set)


def test_a_crop_named_twice_is_refused_with_both_lines(crop_set: Path) -> None:
    rewrite(crop_set, lambda rows: [*rows, rows[0]])
    with pytest.raises(
        InputError, match=r"faces\.csv:34: names .*/000\.png in faces-00\.tar, as line 2 does"
    ):
        read_index(crop_set)


def test_a_row_that_is_cut_short_is_named(crop_set: Path) -> None:
    table = crop_set / "faces.csv"
    whole = table.read_text()
    table.write_text(whole[: whole.rindex(",")] + "\n")
    with pytest.raises(InputError, match=r"faces\.csv:33: no shard in this row") as caught:
        read_index(crop_set)
    assert caught.value.hint
    table.write_bytes(b"path,identity,split,shard\n\xff\xfe")
    with pytest.raises(InputError, match="not a csv file in UTF-8"):
        read_index(crop_set)


def test_the_column_family_says_who_is_related(crop_set: Path) -> None:
    """Where it is empty the name says it, as in a table without the column."""

    def relate(rows: list[Row]) -> list[Row]:
        return [row | {"family": "smith" if row["identity"] in ("p0004", "p0005") else ""} for row in rows]

    before = read_index(crop_set)
    rewrite(crop_set, relate)
    index = read_index(crop_set)
    rows = np.arange(len(index))
    names = np.array(index.identities)
    families = index.families(rows)
    smiths = families[np.isin(names, ["p0004", "p0005"])]
    assert len(set(smiths.tolist())) == 1
    assert len(np.unique(families)) == len(np.unique(before.families(rows))) - 1
    assert before.family == tuple(map(family_of, before.identities))


def test_relatives_by_the_column_on_both_sides_are_refused(crop_set: Path) -> None:
    rewrite(crop_set, lambda rows: [row | {"family": "smith"} for row in rows])
    with pytest.raises(InputError, match=r"family smith\) is in both train and validation"):
        read_index(crop_set)
    rewrite(crop_set, lambda rows: [row | {"family": f"{n}"} for n, row in enumerate(rows)])
    with pytest.raises(InputError, match="is in family 0 and in family 1"):
        read_index(crop_set)


def test_a_missing_column_is_named(crop_set: Path) -> None:
    rewrite(crop_set, lambda rows: [{k: v for k, v in row.items() if k != "shard"} for row in rows])
    with pytest.raises(InputError, match="no column shard"):
        read_index(crop_set)


def test_an_empty_folder_and_an_empty_table_are_refused(crop_set: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not found"):
        read_index(tmp_path)
    rewrite(crop_set, lambda _: [])
    with pytest.raises(InputError, match="no rows"):
        read_index(crop_set)


def test_a_missing_shard_is_named(crop_set: Path) -> None:
    (crop_set / "faces-01.tar").unlink()
    with pytest.raises(InputError, match=r"faces-01\.tar"):
        read_index(crop_set)


def test_a_row_without_its_file_is_named_and_leaves_no_cache(crop_set: Path, tmp_path: Path) -> None:
    rewrite(crop_set, lambda rows: [*rows, rows[-1] | {"path": "nobody/000.png"}])
    index = read_index(crop_set)
    with pytest.raises(InputError, match="nobody/000"):
        load_crops(index, tmp_path / "cache", "mark")
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize("damage", ["cut short", "no tar at all"])
def test_a_damaged_shard_is_named_and_leaves_no_cache(crop_set: Path, tmp_path: Path, damage: str) -> None:
    shard = crop_set / "faces-01.tar"
    data = shard.read_bytes()
    shard.write_bytes(data[: len(data) // 2] if damage == "cut short" else b"not a tar file")
    with pytest.raises(InputError, match=r"faces-01\.tar: not a whole tar file") as caught:
        load_crops(read_index(crop_set), tmp_path / "cache", "mark")
    assert caught.value.hint
    assert not list((tmp_path / "cache").iterdir())


def test_a_full_disk_is_told_before_anything_is_mapped(
    crop_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written through a map it would end the process without a word."""

    def full(descriptor: int, start: int, size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(InputError, match=r"crops-mark\.partial: No space left.*; 1 MB needed, .* MB free"):
        load_crops(read_index(crop_set), tmp_path / "cache", "mark")
    assert not list((tmp_path / "cache").iterdir())


def test_an_unreadable_picture_is_named(crop_set: Path) -> None:
    with pytest.raises(InputError, match="a/b: not a readable picture"):
        decode_crop(b"no picture", "a/b")
    with tarfile.open(crop_set / "faces-00.tar") as archive:
        whole = archive.extractfile(archive.getmembers()[0])
        assert whole is not None
        data = whole.read()
    assert decode_crop(data, "a/b").shape == (112, 112, 3)


def test_mapped_and_streamed_crops_are_the_same(crop_set: Path, tmp_path: Path) -> None:
    index = read_index(crop_set)
    mapped = load_crops(index, tmp_path / "cache", fingerprint(index))
    streamed = ShardedCrops(index)
    assert len(mapped) == len(streamed) == len(index) == 32
    assert all(np.array_equal(mapped[row], streamed[row]) for row in range(len(index)))
    some = RowsOf(streamed, np.array([5, 2]))
    assert len(some) == 2
    assert np.array_equal(some[1], mapped[2])


def test_shards_are_read_by_one_thread_at_a_time(crop_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a set larger than memory would be in memory as often as there are threads."""
    crops, held = ShardedCrops(read_index(crop_set)), []

    def watched(*arguments: Any) -> Any:
        held.append(crops._one_at_a_time.locked())
        return iterate_shard(*arguments)

    monkeypatch.setattr("facelatch_training.data.crops.iterate_shard", watched)
    assert crops[0].shape == crops[1].shape == (112, 112, 3)
    assert held == [True]


def test_the_fingerprint_changes_with_a_single_byte(crop_set: Path) -> None:
    before = fingerprint(read_index(crop_set))
    with (crop_set / "faces-00.tar").open("r+b") as stream:
        stream.seek(2000)
        byte = stream.read(1)
        stream.seek(2000)
        stream.write(bytes([byte[0] ^ 1]))
    assert fingerprint(read_index(crop_set)) != before
