"""Folders and shards become one crop set, or a clear error and nothing."""

from __future__ import annotations

import csv
import shutil
import stat
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from training_doubles import FixedFaces, write_picture

from facelatch.errors import InputError
from facelatch.values.pictures import Box, Face, Image
from facelatch.vision.align import align
from facelatch_training.data.dataset import read_index
from facelatch_training.data.prepare import IN_VALIDATION, Options, prepare, split_families
from facelatch_training.montage import ContactSheet

HALF = Options(validation_share=0.5)


def picture(person: int, number: int, size: int = 112) -> Image:
    """A blotchy picture: soft random shapes, different in each."""
    rng = np.random.default_rng([person, number])
    coarse = rng.integers(0, 256, (7, 7, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.fixture
def people(tmp_path: Path) -> Path:
    for person in range(8):
        for number in range(3):
            write_picture(tmp_path / "people" / f"p{person}" / f"{number}.png", picture(person, number))
    return tmp_path / "people"


def one_side(people: Path, tmp_path: Path, side: str = "train") -> list[str]:
    """Who falls into one side of the split."""
    prepare([people], tmp_path / "looked", finder=None, options=HALF, quiet=True)
    index = read_index(tmp_path / "looked")
    return sorted({index.identities[row] for row in index.rows(side)})


def test_crops_come_back_as_they_went_in(people: Path, tmp_path: Path) -> None:
    report = prepare([people], tmp_path / "set", finder=None, options=HALF, quiet=True)
    index = read_index(tmp_path / "set")
    assert (report.kept, report.identities, report.pictures) == (24, 8, 24)
    assert len(index) == 24
    with tarfile.open(tmp_path / "set" / "faces-00.tar") as archive:
        stream = archive.extractfile("p3/001.webp")
        assert stream is not None
        stored = cv2.imdecode(np.frombuffer(stream.read(), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(cv2.cvtColor(stored, cv2.COLOR_BGR2RGB), picture(3, 1))


def test_the_same_sources_give_the_same_bytes(people: Path, tmp_path: Path) -> None:
    first = prepare([people], tmp_path / "one", finder=None, options=HALF, quiet=True)
    second = prepare([people], tmp_path / "two", finder=None, options=HALF, quiet=True)
    assert first.fingerprint == second.fingerprint
    write_picture(people / "p0" / "9.png", picture(0, 9))
    third = prepare([people], tmp_path / "three", finder=None, options=HALF, quiet=True)
    assert third.fingerprint != first.fingerprint


LANDMARKS = np.float32([[80, 90], [120, 92], [100, 115], [84, 138], [117, 139]])


def test_photos_go_through_finder_and_alignment(tmp_path: Path) -> None:
    for person in range(8):
        for number in range(2):
            write_picture(tmp_path / "photos" / f"p{person}" / f"{number}.png", picture(person, number, 200))
    write_picture(tmp_path / "photos" / "p0" / "black.png", np.zeros((200, 200, 3), np.uint8))
    report = prepare(
        [tmp_path / "photos"],
        tmp_path / "set",
        finder=FixedFaces(Face(Box(60, 60, 90, 100), LANDMARKS, 0.9)),
        options=HALF,
        quiet=True,
    )
    assert report.thrown == {"no face": ["p0/black.png"]}
    index = read_index(tmp_path / "set")
    with tarfile.open(tmp_path / "set" / index.shards[0]) as archive:
        stream = archive.extractfile("p1/000.webp")
        assert stream is not None
        stored = cv2.imdecode(np.frombuffer(stream.read(), np.uint8), cv2.IMREAD_COLOR)
    expected = align(picture(1, 0, 200), LANDMARKS)
    np.testing.assert_array_equal(cv2.cvtColor(stored, cv2.COLOR_BGR2RGB), expected)
    assert stat.S_IMODE((tmp_path / "set-thrown-away.png").stat().st_mode) == 0o600  # these are faces


def test_the_same_picture_again_is_thrown_away_and_shown(people: Path, tmp_path: Path) -> None:
    """Brighter and saved as JPEG it is still the same picture."""
    again = np.clip(picture(2, 1).astype(int) * 0.8 + 20, 0, 255).astype(np.uint8)
    write_picture(people / "p2" / "again.jpg", again)
    report = prepare([people], tmp_path / "set", finder=None, options=HALF, quiet=True)
    assert report.thrown == {"same picture": ["p2/again.jpg"]}
    assert report.kept == 24
    assert cv2.imread(str(tmp_path / "set-thrown-away.png")) is not None


def test_the_same_picture_under_two_names_is_reported_and_kept(people: Path, tmp_path: Path) -> None:
    left, right = one_side(people, tmp_path)[:2]
    shutil.copy(people / left / "1.png", people / right / "copy.png")
    report = prepare([people], tmp_path / "set", finder=None, options=HALF, quiet=True)
    assert [pair[:2] for pair in report.shared] == [(f"{left}/1.png", f"{right}/copy.png")]
    assert report.kept == 25


@pytest.mark.parametrize("copied_from", ["train", "validation"])
def test_a_validation_picture_is_not_trained_on_under_another_name(
    people: Path, tmp_path: Path, copied_from: str
) -> None:
    sides = {side: one_side(people, tmp_path / side, side)[0] for side in ("train", "validation")}
    copied_to = sides["validation" if copied_from == "train" else "train"]
    shutil.copy(people / sides[copied_from] / "1.png", people / copied_to / "copy.png")
    report = prepare([people], tmp_path / "set", finder=None, options=HALF, quiet=True)
    (pair,) = report.thrown[IN_VALIDATION]
    trained, judged = pair.split(" = ")
    assert (trained.split("/")[0], judged.split("/")[0]) == (sides["train"], sides["validation"])
    index = read_index(tmp_path / "set")
    assert len(index) == report.kept == 24
    assert index.identities.count(sides["validation"]) == (4 if copied_from == "train" else 3)


def test_a_crop_set_is_taken_over_with_its_split(people: Path, tmp_path: Path) -> None:
    prepare([people], tmp_path / "one", finder=None, options=HALF, quiet=True)
    other = Options(validation_share=0.5, seed=99)
    prepare([tmp_path / "one"], tmp_path / "two", finder=None, options=other, quiet=True)
    first, second = (read_index(tmp_path / name) for name in ("one", "two"))
    assert dict(zip(first.identities, first.splits, strict=True)) == dict(
        zip(second.identities, second.splits, strict=True)
    )


def test_people_added_later_move_nobody() -> None:
    family = {f"p{n}": f"p{n}" for n in range(40)}
    before = split_families(family, {}, HALF)
    after = split_families({**family, "new": "new"}, {}, HALF)
    assert {name: after[name] for name in before} == before


def test_relatives_stay_on_one_side() -> None:
    family = {f"F{n:04d}MID{member}": f"F{n:04d}" for n in range(30) for member in (1, 2, 3)}
    sides = split_families(family, {}, HALF)
    for n in range(30):
        assert len({sides[f"F{n:04d}MID{member}"] for member in (1, 2, 3)}) == 1


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("identity,family\nzoe,smith\n", "nobody in the sources is called zoe"),
        ("identity,family\np1\n", "line 2 lacks identity or family"),
        ("identity;family\np1;smith\n", "needs the columns identity and family"),
        ("identity,family\np1,M\u00fcller\n", "not a csv file in UTF-8"),
    ],
)
def test_a_table_that_would_part_relatives_is_refused(
    people: Path, tmp_path: Path, table: str, complaint: str
) -> None:
    """One slip of the pen, and a daughter is judged by a model that was trained on her father."""
    path = tmp_path / "families.csv"
    path.write_text(table, encoding="latin-1")
    with pytest.raises(InputError, match=complaint):
        prepare([people], tmp_path / "set", finder=None, options=Options(0.5, families=path), quiet=True)
    assert not (tmp_path / "set").exists()


def test_families_of_a_table_are_honoured(people: Path, tmp_path: Path) -> None:
    table = tmp_path / "families.csv"
    # With the mark that spreadsheets put before the first line.
    table.write_text("identity,family\n" + "".join(f"p{n},smith\n" for n in range(4)), encoding="utf-8-sig")
    options = Options(validation_share=0.5, seed=1, families=table)
    prepare([people], tmp_path / "set", finder=None, options=options, quiet=True)
    with (tmp_path / "set" / "faces.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len({row["split"] for row in rows if row["family"] == "smith"}) == 1
    index = read_index(tmp_path / "set")
    smiths = index.families(np.arange(len(index)))[np.char.find(index.family, "smith") >= 0]
    assert len(smiths) == 12
    assert len(set(smiths.tolist())) == 1
    prepare([tmp_path / "set"], tmp_path / "again", finder=None, options=HALF, quiet=True)
    again = read_index(tmp_path / "again")
    assert dict(zip(again.identities, again.family, strict=True)) == dict(
        zip(index.identities, index.family, strict=True)
    )


def nothing_left(tmp_path: Path) -> bool:
    return not [path for path in tmp_path.iterdir() if path.name.startswith("set")]


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no folder in it"):
        prepare([tmp_path / "empty"], tmp_path / "set", finder=None, quiet=True)
    (tmp_path / "empty" / "somebody").mkdir()
    with pytest.raises(InputError, match=r"somebody: no picture in it"):
        prepare([tmp_path / "empty"], tmp_path / "set", finder=None, quiet=True)
    with pytest.raises(InputError, match="no such folder"):
        prepare([tmp_path / "nowhere"], tmp_path / "set", finder=None, quiet=True)
    assert nothing_left(tmp_path)


def test_a_person_with_one_picture_is_an_error_unless_wanted(people: Path, tmp_path: Path) -> None:
    write_picture(people / "lonely" / "0.png", picture(50, 0))
    with pytest.raises(InputError, match="1 people have one usable picture: lonely"):
        prepare([people], tmp_path / "set", finder=None, options=HALF, quiet=True)
    assert nothing_left(tmp_path)
    kept = Options(validation_share=0.5, keep_singles=True)
    assert prepare([people], tmp_path / "set", finder=None, options=kept, quiet=True).identities == 9


def test_unreadable_pictures_are_listed_and_nothing_is_lost(people: Path, tmp_path: Path) -> None:
    (people / "p1" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    (people / "p2" / "empty.jpg").write_bytes(b"")
    with pytest.raises(
        InputError, match=r"2 pictures cannot be used:\n  p1/broken\.png: .*\n  p2/empty\.jpg"
    ):
        prepare([people], tmp_path / "set", finder=None, options=HALF, quiet=True)
    assert nothing_left(tmp_path)
    skipping = Options(validation_share=0.5, skip_unreadable=True)
    assert prepare([people], tmp_path / "set", finder=None, options=skipping, quiet=True).kept == 24


def test_unreadable_pictures_in_a_shard_can_be_left_out_too(people: Path, tmp_path: Path) -> None:
    prepare([people], tmp_path / "one", finder=None, options=HALF, quiet=True)
    shard = tmp_path / "one" / "faces-00.tar"
    with tarfile.open(shard) as archive:
        place = archive.getmember("p1/000.webp").offset_data
    with shard.open("r+b") as stream:
        stream.seek(place)
        stream.write(b"no picture")
    with pytest.raises(InputError, match=r"1 pictures cannot be used:\n  p1/000\.webp: .*not a readable"):
        prepare([tmp_path / "one"], tmp_path / "set", finder=None, options=HALF, quiet=True)
    skipping = Options(validation_share=0.5, skip_unreadable=True)
    assert prepare([tmp_path / "one"], tmp_path / "set", finder=None, options=skipping, quiet=True).kept == 23


def test_what_was_thrown_away_is_shown_also_when_the_set_is_refused(people: Path, tmp_path: Path) -> None:
    write_picture(people / "p2" / "again.png", picture(2, 1))
    write_picture(people / "lonely" / "0.png", picture(50, 0))
    sheet = tmp_path / "set-thrown-away.png"
    with pytest.raises(InputError, match="lonely") as caught:
        prepare([people], tmp_path / "set", finder=None, options=HALF, quiet=True)
    assert str(sheet) in caught.value.hint
    assert cv2.imread(str(sheet)) is not None
    assert not (tmp_path / "set").exists()


def test_the_sheet_of_an_earlier_try_goes_and_that_of_a_set_stays(people: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "set-thrown-away.png"
    sheet.touch()
    assert prepare([people], tmp_path / "set", finder=None, options=HALF, quiet=True).sheet is None
    assert not sheet.exists()
    sheet.touch()
    with pytest.raises(InputError, match="something already"):
        prepare([people], tmp_path / "set", finder=None, options=HALF, quiet=True)
    assert sheet.exists()


def test_what_has_no_room_on_the_sheet_is_counted(tmp_path: Path) -> None:
    sheet = ContactSheet(tmp_path / "sheet.png", most=2)
    for number in range(5):
        sheet.add("same picture", picture(0, number))
    assert sheet.write()
    assert sheet.not_shown == 3


def test_neither_set_nor_sheet_lies_in_a_checkout(people: Path, tmp_path: Path) -> None:
    """The folder `runs` itself is ignored by git; what would lie beside it is not."""
    checkout = tmp_path / "checkout"
    (checkout / ".git").mkdir(parents=True)
    (checkout / ".gitignore").write_text("runs/\n")
    with pytest.raises(InputError, match=r"runs-thrown-away\.png: lies in the git checkout"):
        prepare([people], checkout / "runs", finder=None, options=HALF, quiet=True)
    assert sorted(entry.name for entry in checkout.iterdir()) == [".git", ".gitignore"]
    assert prepare([people], checkout / "runs" / "set", finder=None, options=HALF, quiet=True).kept == 24


def test_a_table_that_names_a_missing_file_is_an_error(people: Path, tmp_path: Path) -> None:
    prepare([people], tmp_path / "one", finder=None, options=HALF, quiet=True)
    table = tmp_path / "one" / "faces.csv"
    side = table.read_text().splitlines()[1].split(",")[2]
    table.write_text(table.read_text() + f"p0/077.webp,p0,{side},people,faces-00.tar,p0\n")
    with pytest.raises(InputError, match=r"p0/077\.webp"):
        prepare([tmp_path / "one"], tmp_path / "set", finder=None, quiet=True)
    assert nothing_left(tmp_path)


def test_one_person_in_two_sources_is_an_error(people: Path, tmp_path: Path) -> None:
    shutil.copytree(people, tmp_path / "more")
    with pytest.raises(InputError, match="p0: is in people and in more"):
        prepare([people, tmp_path / "more"], tmp_path / "set", finder=None, quiet=True)


def test_nothing_is_overwritten(people: Path, tmp_path: Path) -> None:
    write_picture(tmp_path / "set" / "mine.png", picture(0, 0))
    with pytest.raises(InputError, match="something already"):
        prepare([people], tmp_path / "set", finder=None, options=HALF, quiet=True)
    assert (tmp_path / "set" / "mine.png").is_file()


def test_a_side_of_the_split_that_stays_empty_is_an_error(people: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="validation split"):
        prepare([people], tmp_path / "set", finder=None, options=Options(validation_share=0.0), quiet=True)
    assert nothing_left(tmp_path)


def test_a_set_larger_than_a_shard_is_cut(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "facelatch_training.data.shards.ShardWriter.__init__.__kwdefaults__", {"shard_bytes": 60_000}
    )
    prepare([people], tmp_path / "set", finder=None, options=HALF, quiet=True)
    index = read_index(tmp_path / "set")
    assert len(set(index.shards)) > 1
    assert max(file.stat().st_size for file in (tmp_path / "set").glob("*.tar")) < 90_000
