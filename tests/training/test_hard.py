"""Covered and turned faces and groups of people: what is drawn, what is compared, and what is counted."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from training_doubles import PatternVerifier

from facelatch.errors import InputError
from facelatch.vision.cohort import NO_COHORT, Cohort
from facelatch_training.data.covers import COVERINGS
from facelatch_training.data.made_faces import draw_person
from facelatch_training.data.more import also_in_faces, read_more, second_names
from facelatch_training.judge import groups, hard_slices
from facelatch_training.judge.groups import GroupRates
from facelatch_training.judge.hard import Hard
from facelatch_training.judge.intervals import Interval
from facelatch_training.judge.metrics import FAILED
from facelatch_training.recipe import Targets
from facelatch_training.report.hard_card import hard_lines

PEOPLE = ["a", "a", "b", "b", "c", "c"]


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    return np.stack([draw_person(ord(name), number) for number, name in enumerate(PEOPLE)])


def test_every_covering_is_on_probe_reference_and_both_beside_the_bare_pictures(crops: np.ndarray) -> None:
    names = [name for name, *_ in hard_slices.covered_slices(PatternVerifier(), NO_COHORT, crops)]
    assert names[0] == "bare"
    assert len(names) == 1 + 3 * len(COVERINGS)
    assert {f"{covering} on both" for covering in COVERINGS} < set(names)


@pytest.mark.parametrize("covering", COVERINGS)
def test_a_covering_is_drawn_the_same_for_a_seed_and_leaves_part_of_the_face(crops: np.ndarray, covering: str) -> None:
    drawn = hard_slices.dressed(crops, covering, 3)
    np.testing.assert_array_equal(drawn, hard_slices.dressed(crops, covering, 3))
    changed = (drawn != crops).any(axis=-1).mean(axis=(1, 2))
    assert (changed > 0.05).all()
    assert (changed < 0.7).all()


def test_a_picture_is_not_compared_with_itself(crops: np.ndarray) -> None:
    looked = hard_slices.look(PatternVerifier(), NO_COHORT, crops)
    compared = hard_slices.crossed(PatternVerifier(), looked, looked, PEOPLE, PEOPLE)
    assert len(compared) == 30
    assert compared.genuine.sum() == 6


def test_what_the_line_refuses_is_a_false_non_match_and_no_match(crops: np.ndarray) -> None:
    """One picture of six is refused: of 6 genuine comparisons it is in two."""
    looked = hard_slices.look(PatternVerifier(), NO_COHORT, crops, np.arange(len(crops)) != 0)
    compared = hard_slices.crossed(PatternVerifier(), looked, looked, PEOPLE, PEOPLE)
    rates = hard_slices.hard_rates(compared, 0.0, resamples=5)
    assert rates.refused == pytest.approx(2 / 6)
    assert rates.fnmr.value == pytest.approx(2 / 6)
    assert rates.fmr.value == pytest.approx(16 / 24)


def test_an_unfamiliar_picture_is_refused(crops: np.ndarray) -> None:
    point = PatternVerifier().embed(crops[2])
    everybody_else = Cohort(
        np.zeros((0, 192), np.float32), np.zeros(0, np.uint8), (point / np.linalg.norm(point))[None], 0.9999, 1.0
    )
    assert hard_slices.look(PatternVerifier(), everybody_else, crops).judged.tolist() == [
        name != "b" or number == 3 for number, name in enumerate(PEOPLE)
    ]


def test_no_threshold_for_covered_faces_unless_it_is_asked_for(crops: np.ndarray) -> None:
    people = np.array([0, 0, 1, 1, 2, 2])
    assert hard_slices.covered_floor(PatternVerifier(), crops, people, Targets()) == 0
    strict = hard_slices.covered_floor(PatternVerifier(), crops, people, Targets(worst_slice=3))
    loose = hard_slices.covered_floor(PatternVerifier(), crops, people, Targets(worst_slice=5000))
    assert strict > loose > 0


@pytest.mark.parametrize(
    ("identity", "labels"),
    [
        ("u30_0_1_20170117202910591.jpg.chip", {"age": "20 to 35", "sex": "male", "ethnic group": "black"}),
        ("u100_1_4_20170110183726390.jpg.chip", {"age": "60 and over", "sex": "female", "ethnic group": "other"}),
        ("l001", {}),
        ("u61_3_20170109150557335.jpg.chip", {}),
    ],
)
def test_a_label_is_what_the_name_says_and_nothing_is_guessed(identity: str, labels: dict[str, str]) -> None:
    assert groups.utkface_labels(identity) == labels


def test_the_london_set_is_read_in_its_own_words(tmp_path: Path) -> None:
    table = tmp_path / "info.csv"
    table.write_text("face_id,face_age,face_sex,face_eth\nX001,24,female,white\nX031,,male,west_asian\n")
    read = groups.london_labels(table)
    assert read["l001"] == {"age": "20 to 35", "sex": "female", "ethnic group": "white"}
    assert read["l031"] == {"sex": "male", "ethnic group": "west_asian"}
    table.write_text("face_id,age\nX001,24\n")
    with pytest.raises(InputError, match="face_eth"):
        groups.london_labels(table)


def test_impostors_are_of_the_own_group_and_small_groups_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "FEWEST_PEOPLE", 2)
    crops = np.stack([draw_person(ord(name), number) for number, name in enumerate(PEOPLE)])
    labels = {"a": {"sex": "female"}, "b": {"sex": "female"}, "c": {"sex": "male"}}
    looked = hard_slices.look(PatternVerifier(), NO_COHORT, crops)
    rates = groups.group_rates(PatternVerifier(), looked, PEOPLE, labels, 0.0)
    assert rates == {
        "sex": {
            "female": GroupRates(people=2, genuine=4, impostors=8, false_matches=8, false_non_matches=0),
        }
    }


def test_the_ratio_is_of_the_worst_to_the_best_and_none_where_the_best_made_no_error() -> None:
    def made(false_matches: int) -> GroupRates:
        return GroupRates(people=10, genuine=0, impostors=100, false_matches=false_matches, false_non_matches=0)

    found = groups.ratios({"x": made(6), "y": made(2)}, "fmr")
    assert found is not None
    assert (found.best, found.worst, found.ratio) == ("y", "x", 3)
    unmeasured = groups.ratios({"x": made(6), "y": made(0)}, "fmr")
    assert unmeasured is not None
    assert unmeasured.ratio is None
    assert groups.ratios({"x": made(6), "y": made(0)}, "fnmr") is None
    assert groups.ratios({"x": made(0), "y": made(0)}, "fmr") is None


def write_more(folder: Path) -> None:
    rows = [("p1/0.png", "p1", "cfp"), ("p2/0.png", "p2", "cfp"), ("u1/0.png", "u30_0_1_2", "utk")]
    with tarfile.open(folder / "more-00.tar", "w") as shard:
        for number, (path, *_) in enumerate(rows):
            data = cv2.imencode(".png", draw_person(number, 0)[:, :, ::-1])[1].tobytes()
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            shard.addfile(entry, io.BytesIO(data))
    with (folder / "more.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["path", "identity", "split", "source", "shard"])
        table.writerows([path, name, "unlabelled", source, "more-00.tar"] for path, name, source in rows)
    (folder / "same-person-inside.csv").write_text("identity,identity2,cosine\np1,u30_0_1_2,0.9\n")
    (folder / "same-person-in-faces.csv").write_text("identity,identity in faces.csv,cosine\np2,c1,0.9\n")


def test_pictures_beside_a_crop_set_are_read_by_who_is_wanted(tmp_path: Path) -> None:
    write_more(tmp_path)
    known = also_in_faces(tmp_path)
    assert known == {"p2": "c1"}
    assert second_names(tmp_path) == {"u30_0_1_2"}
    read = read_more(tmp_path, lambda identity, source: source == "cfp" and identity not in known)
    assert read.identities == ("p1",)
    np.testing.assert_array_equal(read.crops[0], draw_person(0, 0))
    with pytest.raises(InputError, match=r"more\.csv"):
        read_more(tmp_path / "none", lambda identity, source: True)


def test_the_card_names_the_worst_slice_and_every_group_from_what_the_manifest_keeps() -> None:
    rates = hard_slices.HardRates(
        fmr=Interval(0.0005, 0.0, 0.001),
        fnmr=Interval(0.5, 0.4, 0.6),
        refused=0.1,
        identities=9,
        genuine=8,
        impostors=7,
    )
    group = GroupRates(people=10, genuine=4, impostors=100, false_matches=2, false_non_matches=1)
    measured = Hard(
        slices={"bare": rates},
        groups={"london": {"sex": {"female": group, "male": group}}},
        promise=1e-4,
        data="half B of somebody",
    )
    text = "\n".join(hard_lines(json.loads(json.dumps(measured.as_json()))))
    assert "'bare': 5.0 times the promise" in text
    assert "| sex: female | 10 | 2.0000% (2 of 100) | 25.0% (1 of 4) |" in text
    assert hard_lines(None) == []


def test_a_refused_comparison_is_marked_as_one_without_a_crop(crops: np.ndarray) -> None:
    looked = hard_slices.look(PatternVerifier(), NO_COHORT, crops, np.zeros(len(crops), bool))
    assert (hard_slices.crossed(PatternVerifier(), looked, looked, PEOPLE, PEOPLE).similarity == FAILED).all()
