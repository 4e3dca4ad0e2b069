"""Protocols and comparisons, with a verifier simple enough to check by hand."""

from __future__ import annotations

import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from training_doubles import ColourVerifier, FixedFaces, write_picture

from facelatch.errors import InputError, ModelError
from facelatch.values.pictures import Box, Face, Image
from facelatch.vision.align import align
from facelatch.vision.references import embed_reference
from facelatch_training.data import made_faces
from facelatch_training.data.cropping import Cropper, open_finder, subject
from facelatch_training.data.dataset import read_index
from facelatch_training.files import keep_out_of_git
from facelatch_training.judge import protocols
from facelatch_training.judge.comparisons import compare_all, compare_pairs
from facelatch_training.judge.evaluate import evaluate, hardest
from facelatch_training.judge.metrics import FAILED
from facelatch_training.judge.table import evaluation_table
from facelatch_training.judge.verifiers import Embedded, embed_both
from facelatch_training.report.plots import write_hardest, write_plots

RESAMPLES = 20


def crop_of(person: int, picture: int) -> Image:
    rng = np.random.default_rng(person)
    colour = rng.integers(30, 220, 3) + np.random.default_rng(100 * person + picture).integers(-9, 10, 3)
    return np.full((112, 112, 3), colour, np.uint8)


@pytest.fixture
def lfw(tmp_path: Path) -> Path:
    """Six people with three pictures each, in the three formats the set may come in."""
    for person in range(6):
        for picture in range(3):
            suffix = (".jpg", ".png", ".webp")[picture]
            name = f"Ann_{chr(65 + person)}"
            write_picture(
                tmp_path / "lfw" / name / f"{name}_{picture + 1:04d}{suffix}", crop_of(person, picture)
            )
    return tmp_path


def pairs_text(gap: str = "\t", header: str = "2\t3") -> str:
    lines = [header] if header else []
    for fold in range(2):
        names = [f"Ann_{chr(65 + 3 * fold + k)}" for k in range(3)]
        lines += [gap.join([name, "1", "2"]) for name in names]
        lines += [gap.join([names[k], "1", names[(k + 1) % 3], "3"]) for k in range(3)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(("gap", "header"), [("\t", "2\t3"), (" ", "2 3"), ("\t", ""), (" ", "6")])
def test_pairs_are_read_in_every_variant(lfw: Path, gap: str, header: str) -> None:
    listing = lfw / "pairs.txt"
    listing.write_text(pairs_text(gap, header))
    protocol = protocols.lfw_pairs(listing, lfw / "lfw", Cropper(None))
    assert protocol.pairs is not None
    assert len(protocol.pairs.first) == 12
    assert (protocol.pairs.fold is not None) == (header.startswith("2"))
    judged = evaluate(ColourVerifier(), protocol, resamples=RESAMPLES, quiet=True)
    assert (judged.genuine, judged.impostors, judged.identities) == (6, 6, 6)


def test_folds_are_blocks_of_genuine_and_impostor_pairs(lfw: Path) -> None:
    listing = lfw / "pairs.txt"
    listing.write_text(pairs_text())
    protocol = protocols.lfw_pairs(listing, lfw / "lfw", Cropper(None))
    assert protocol.pairs is not None
    assert protocol.pairs.fold is not None
    assert protocol.pairs.fold.tolist() == [0] * 6 + [1] * 6
    judged = evaluate(ColourVerifier(), protocol, resamples=RESAMPLES, quiet=True)
    assert judged.folds == 2
    assert judged.figures["accuracy"].value > 0.8


def test_pictures_lying_flat_are_found_too(lfw: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for file in (lfw / "lfw").rglob("*.*"):
        file.rename(flat / file.name)
    listing = lfw / "pairs.txt"
    listing.write_text(pairs_text())
    assert len(protocols.lfw_pairs(listing, flat, Cropper(None)).pictures) == 18


def test_missing_pictures_are_listed(lfw: Path) -> None:
    (lfw / "lfw" / "Ann_B" / "Ann_B_0001.jpg").unlink()
    (lfw / "pairs.txt").write_text(pairs_text())
    with pytest.raises(InputError, match=r"1 of the 18 pictures in pairs\.txt are missing: Ann_B_0001"):
        protocols.lfw_pairs(lfw / "pairs.txt", lfw / "lfw", Cropper(None))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no pairs"),
        ("2 3\nAnn_A 1 2\n", "promises 2 x 2 x 3 pairs, the file has 1"),
        ("Ann_A 1 two\n", r":1: 'Ann_A 1 two' is no pair"),
        ("Ann_A 1 2\nAnn_A 1 Ann_B\n", ":2:"),
        ("left right\n", "neither a pair"),
    ],
)
def test_a_bad_pairs_file_is_named_with_its_line(lfw: Path, text: str, complaint: str) -> None:
    (lfw / "pairs.txt").write_text(text)
    with pytest.raises(InputError, match=complaint):
        protocols.lfw_pairs(lfw / "pairs.txt", lfw / "lfw", Cropper(None))


def test_people_gives_every_comparison_once_and_embeds_each_side_once(lfw: Path) -> None:
    verifier = ColourVerifier()
    judged = evaluate(verifier, protocols.people(lfw / "lfw", Cropper(None)), resamples=RESAMPLES, quiet=True)
    assert verifier.embedded == 2 * 18
    assert (judged.genuine, judged.impostors) == (6 * 3, 18 * 17 // 2 - 18)
    assert judged.figures["auc"].value > 0.9


def test_anchors_and_positives_of_a_person_belong_together(lfw: Path) -> None:
    folder = lfw / "lfw" / "Ann_A"
    (folder / "anchors").mkdir()
    (folder / "Ann_A_0001.jpg").rename(folder / "anchors" / "1.jpg")
    protocol = protocols.people(lfw / "lfw", Cropper(None))
    assert len(protocol.pictures) == 18
    assert protocol.identities.count("Ann_A") == 3


def test_people_needs_two_people_and_a_second_picture(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        protocols.people(tmp_path / "nowhere", Cropper(None))
    write_picture(tmp_path / "set" / "a" / "1.png", crop_of(0, 0))
    with pytest.raises(InputError, match="1 people"):
        protocols.people(tmp_path / "set", Cropper(None))
    write_picture(tmp_path / "set" / "b" / "1.png", crop_of(1, 0))
    with pytest.raises(InputError, match="one picture of each"):
        protocols.people(tmp_path / "set", Cropper(None))


def test_all_comparisons_equal_the_pairs_one_by_one() -> None:
    verifier, rng = ColourVerifier(), np.random.default_rng(0)
    embedded = Embedded(*rng.random((2, 9, 3)).astype(np.float32))
    numbers = np.repeat(np.arange(3), 3).astype(np.int32)
    present = np.arange(9) != 4
    left, right = np.triu_indices(9, 1)
    every = compare_all(verifier, embedded, present, numbers)
    listed = compare_pairs(verifier, embedded, present, numbers, protocols.PairList(left, right))
    np.testing.assert_array_equal(every.similarity, listed.similarity)
    np.testing.assert_array_equal(every.genuine, listed.genuine)
    expected = verifier.compare(embedded.probes[2], embedded.references[7:8])
    assert every.similarity[(left == 2) & (right == 7)] == expected
    touches = (left == 4) | (right == 4)
    assert (every.similarity[touches] == FAILED).all()
    assert (every.similarity[~touches] >= 0).all()


class SideVerifier(ColourVerifier):
    """Tells a picture from its mirror image."""

    def embed(self, crop: Image) -> np.ndarray:
        halves = crop[:, :56], crop[:60, 56:]
        return np.concatenate([half.mean(axis=(0, 1)) / 255 for half in halves]).astype(np.float32)


def test_the_first_picture_is_a_probe_and_the_second_a_reference_of_both_sides() -> None:
    verifier, rng = SideVerifier(), np.random.default_rng(0)
    crops = rng.integers(0, 255, (4, 2, 2, 3), dtype=np.uint8).repeat(56, axis=1).repeat(56, axis=2)
    embedded = embed_both(verifier, crops)
    every = compare_all(verifier, embedded, np.ones(4, bool), np.arange(4, dtype=np.int32))
    expected = [
        verifier.compare(verifier.embed(crops[one]), embed_reference(verifier.embed, crops[other])[None])[0]
        for one, other in zip(*np.triu_indices(4, 1), strict=True)
    ]
    np.testing.assert_allclose(every.similarity, expected, rtol=1e-5)


def face_at(x: float, y: float, size: float, score: float = 0.9) -> Face:
    marks = np.float32([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]]) * size + np.float32(
        [x, y]
    )
    return Face(Box(x, y, size, size), marks, score)


def test_pictures_without_a_face_count_as_refused(lfw: Path) -> None:
    write_picture(lfw / "lfw" / "Ann_A" / "Ann_A_0001.jpg", np.zeros((112, 112, 3), np.uint8))
    cropper = Cropper(FixedFaces(face_at(10, 10, 90)))
    judged = evaluate(
        ColourVerifier(), protocols.people(lfw / "lfw", cropper), resamples=RESAMPLES, quiet=True
    )
    assert judged.failed == ("Ann_A/Ann_A_0001.jpg",)
    assert judged.pictures == 18
    assert judged.genuine == 18
    assert judged.figures["tar@far=0.01"].value <= 16 / 18
    assert "1 without a found" in evaluation_table(judged)


def test_the_subject_is_the_large_face_in_the_middle() -> None:
    image = np.zeros((250, 250, 3), np.uint8)
    middle, corner = face_at(85, 85, 80), face_at(0, 0, 85)
    assert subject([corner, middle], image) is middle
    assert subject([], image) is None
    doubtful = face_at(50, 50, 150, score=0.3)
    assert subject([middle, doubtful], image) is middle


def test_the_cascade_crops_a_real_photo_where_the_face_is(tmp_path: Path) -> None:
    """NASA's portrait of an astronaut, against a crop from landmarks set by hand."""
    astronaut = pytest.importorskip("skimage.data").astronaut()
    write_picture(tmp_path / "astronaut.png", astronaut)
    crop = Cropper(open_finder("cascade"))(tmp_path / "astronaut.png")
    assert crop is not None
    truth = np.float32([[200, 102], [247, 103], [220, 125], [199, 143], [240, 144]])
    expected = align(astronaut, truth)
    assert expected is not None
    assert np.corrcoef(crop.ravel(), expected.ravel())[0, 1] > 0.6


def test_an_unknown_finder_and_a_missing_model_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not known"):
        open_finder("magic")
    with pytest.raises(InputError, match="needs its model"):
        open_finder("yunet")
    with pytest.raises(ModelError, match="no such file"):
        open_finder("yunet", tmp_path / "missing.onnx")


def test_faces_beside_the_subject_are_counted(tmp_path: Path) -> None:
    write_picture(tmp_path / "two.png", np.full((250, 250, 3), 90, np.uint8))
    cropper = Cropper(FixedFaces(face_at(85, 85, 80), face_at(0, 0, 60)))
    assert cropper(tmp_path / "two.png") is not None
    assert cropper(tmp_path / "two.png") is not None
    assert cropper.several == {tmp_path / "two.png"}


def test_a_picture_of_another_size_is_no_crop(tmp_path: Path) -> None:
    write_picture(tmp_path / "photo.png", np.full((250, 250, 3), 90, np.uint8))
    with pytest.raises(InputError, match="250x250 px, an aligned crop is 112x112"):
        Cropper(None)(tmp_path / "photo.png")


def test_balanced_folds_keep_families_together_and_classes_even() -> None:
    identities = [f"fF{family:04d}MID{member}" for family in range(40) for member in (1, 2) for _ in range(3)]
    pairs = protocols.balanced_folds(identities, folds=10)
    assert pairs.fold is not None
    names = np.array(identities)
    genuine = names[pairs.first] == names[pairs.second]
    home: dict[str, int] = {}
    for left, right, fold in zip(pairs.first, pairs.second, pairs.fold, strict=True):
        for number in (left, right):
            assert home.setdefault(identities[number][:6], int(fold)) == fold
    for fold in range(10):
        inside = pairs.fold == fold
        assert genuine[inside].sum() * 2 == inside.sum()
    again = protocols.balanced_folds(identities, folds=10)
    np.testing.assert_array_equal(again.second, pairs.second)


def test_families_of_a_table_stay_in_one_fold_and_in_the_protocol(tmp_path: Path) -> None:
    made_faces.write_crop_set(tmp_path / "set", people=16, pictures=3)
    table_file = tmp_path / "set" / "faces.csv"
    head, *rows = table_file.read_text().splitlines()
    related = [f"{row},{'smith' if row.startswith('p001') else ''}" for row in rows]
    table_file.write_text("\n".join([f"{head},family", *related]) + "\n")
    protocol = protocols.prepared(tmp_path / "set")
    assert len(protocol.families) == len(protocol.identities)
    kin = np.array(protocol.families) == "smith"
    assert set(np.array(protocol.identities)[kin]) == {f"p001{n}" for n in (2, 3, 4, 5)}
    pairs = protocols.balanced_folds(protocol.identities, protocol.families, folds=2)
    assert pairs.fold is not None
    assert len(set(pairs.fold[kin[pairs.first]].tolist())) == 1
    left_out = protocols.Protocol(
        name="named",
        pictures=("1", "2"),
        identities=("fF0001MID1", "Ann"),
        crops=lambda: iter(()),
    )
    assert left_out.families == ("F0001", "Ann")


def test_the_hardest_pairs_are_the_worst_of_each_kind(lfw: Path) -> None:
    protocol = protocols.people(lfw / "lfw", Cropper(None))
    judged = evaluate(ColourVerifier(), protocol, resamples=RESAMPLES, quiet=True)
    worst = hardest(judged, protocol, count=3)
    comparisons = judged.comparisons
    assert worst["impostor"][0][2] == pytest.approx(comparisons.similarity[~comparisons.genuine].max())
    assert worst["genuine"][0][2] == pytest.approx(comparisons.similarity[comparisons.genuine].min())


def test_without_a_threshold_there_is_no_figure_at_one(lfw: Path) -> None:
    """A peer's similarity has no middle to be judged at."""
    protocol = protocols.people(lfw / "lfw", Cropper(None))
    judged = evaluate(ColourVerifier(), protocol, resamples=RESAMPLES, quiet=True)
    assert not {"precision", "recall", "fmr", "fnmr"} & judged.figures.keys()
    assert "threshold " not in evaluation_table(judged)


def test_rates_that_few_comparisons_cannot_tell_are_named(lfw: Path) -> None:
    protocol = protocols.people(lfw / "lfw", Cropper(None))
    judged = evaluate(ColourVerifier(), protocol, threshold=0.999, resamples=RESAMPLES, quiet=True)
    assert judged.unmeasurable_rates == [1e-2, 1e-3, 1e-4]
    lines = evaluation_table(judged)
    assert f"cannot be told from {judged.impostors} impostor comparisons: 100,000 are needed" in lines
    assert judged.figures["fmr"].value == 0
    assert judged.figures["fmr"].high == pytest.approx(3 / judged.identities)


def test_more_comparisons_than_memory_are_refused_before_the_first_picture() -> None:
    names = tuple(map(str, range(1_000_000)))
    huge = protocols.Protocol(name="huge", pictures=names, identities=names, crops=lambda: iter(()))
    with pytest.raises(InputError, match=r"all comparisons of 1,000,000 pictures need .* GB of memory"):
        evaluate(ColourVerifier(), huge, quiet=True)


def test_unreadable_pictures_can_count_as_pictures_without_a_face(lfw: Path) -> None:
    bad = lfw / "lfw" / "Ann_B" / "Ann_B_0001.jpg"
    bad.write_bytes(b"no picture")
    with pytest.raises(InputError, match="Ann_B_0001") as caught:
        evaluate(
            ColourVerifier(), protocols.people(lfw / "lfw", Cropper(None)), resamples=RESAMPLES, quiet=True
        )
    assert "--skip-unreadable" in caught.value.hint
    cropper = Cropper(None, skip_unreadable=True)
    judged = evaluate(
        ColourVerifier(), protocols.people(lfw / "lfw", cropper), resamples=RESAMPLES, quiet=True
    )
    assert judged.failed == ("Ann_B/Ann_B_0001.jpg",)
    assert cropper.unreadable == {bad}


@pytest.mark.slow
def test_plots_and_montage_are_pictures(lfw: Path, tmp_path: Path) -> None:
    protocol = protocols.people(lfw / "lfw", Cropper(None))
    judged = evaluate(ColourVerifier(), protocol, resamples=RESAMPLES, quiet=True)
    written = [
        *write_plots({"model": judged}, tmp_path / "out"),
        write_hardest(judged, protocol, tmp_path / "out"),
    ]
    assert {file.name for file in written} == {
        "roc.png", "det.png", "similarities.png", "reliability.png", "hardest-pairs.png",
    }  # fmt: skip
    for file in written:
        assert cv2.imread(str(file)) is not None


def test_pictures_of_people_stay_out_of_a_checkout(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".gitignore").write_text("runs/\n")
    keep_out_of_git(tmp_path / "runs" / "today")
    with pytest.raises(InputError, match="git checkout"):
        keep_out_of_git(tmp_path / "models")


def test_one_split_of_a_crop_set_is_judged_and_no_other(tmp_path: Path) -> None:
    """The crops of the split come in the order of its table, whichever shard they lie in."""
    made_faces.write_crop_set(tmp_path / "set", people=16, pictures=3)
    index = read_index(tmp_path / "set")
    for split in ("train", "validation"):
        protocol = protocols.prepared(tmp_path / "set", split)
        rows = index.rows(split)
        assert protocol.pictures == tuple(index.paths[row] for row in rows)
        crops = protocols.gather(protocol)
        assert len(crops) == len(rows)
        for number, name in enumerate(protocol.pictures):
            shard = index.shards[rows[number]]
            with tarfile.open(tmp_path / "set" / shard) as archive:
                stream = archive.extractfile(name)
                assert stream is not None
                stored = cv2.imdecode(np.frombuffer(stream.read(), np.uint8), cv2.IMREAD_COLOR)
            np.testing.assert_array_equal(cv2.cvtColor(stored, cv2.COLOR_BGR2RGB), crops[number])
