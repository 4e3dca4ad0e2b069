"""The model card and the page say what was measured, on whom, and by which command; slices spoil what they say."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from training_doubles import REPO

from facelatch.adapters.fakes import FakeFinder
from facelatch.errors import InputError
from facelatch.values.pictures import Box, Face, Image
from facelatch.vision.align import TEMPLATE
from facelatch.vision.manifest import SIGNATURES, CalibratedDoor, Manifest, Rate
from facelatch_training.data.dataset import fingerprint, read_index
from facelatch_training.data.made_faces import write_crop_set
from facelatch_training.fitting.runfolder import RunFolder
from facelatch_training.judge import protocols
from facelatch_training.judge.evaluate import evaluate
from facelatch_training.judge.slice_rates import measure_slices
from facelatch_training.judge.slices import SLICES, frame_noise, is_turned
from facelatch_training.recipe import recipe_hash, tiny_recipe
from facelatch_training.report.card import LIMITS, model_card
from facelatch_training.report.finder_card import finder_card
from facelatch_training.report.gather import Findings, gather_findings
from facelatch_training.report.html import write_html
from facelatch_training.report.plots import write_det


class PatternVerifier:
    """Compares pictures reduced to 6 x 6."""

    model_sha256 = "0" * 64
    embedding_size = 588

    def embed(self, crop: Image) -> np.ndarray:
        small = crop.reshape(14, 8, 14, 8, 3).mean(axis=(1, 3)).ravel() / 255
        return np.asarray((small - small.mean()) / (small.std() + 1e-6), np.float32)

    def compare(self, probe: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(-np.abs(gallery - probe).mean(axis=1)), np.float32)


def crop(person: int, number: int) -> Image:
    rng = np.random.default_rng(person)
    half = rng.integers(60, 220, (8, 4, 3))
    coarse = np.concatenate([half, half[:, ::-1]], axis=1).repeat(14, axis=0).repeat(14, axis=1)
    noise = np.random.default_rng([person, number]).normal(0, 12, (112, 112, 3))
    return np.asarray((coarse + noise).clip(0, 255), np.uint8)


NAMES = [f"fF{family:04d}MID{member}" for family in range(10) for member in (1, 2) for _ in range(3)]
CROPS = np.stack([crop(row // 3, row) for row in range(len(NAMES))])


def drawn() -> protocols.Protocol:
    return protocols.Protocol(
        name="drawn",
        pictures=tuple(map(str, range(len(NAMES)))),
        identities=tuple(NAMES),
        crops=lambda: iter(enumerate(CROPS)),
    )


@pytest.mark.parametrize("name", [*SLICES, "frame"])
def test_spoiling_keeps_shape_and_type_and_changes_the_picture(name: str) -> None:
    spoil = SLICES.get(name, frame_noise)
    before = CROPS[0].copy()
    spoiled = spoil(CROPS[0], np.random.default_rng(0))
    assert spoiled.shape == (112, 112, 3)
    assert spoiled.dtype == np.uint8
    assert (spoiled != CROPS[0]).any()
    np.testing.assert_array_equal(CROPS[0], before)


def test_the_dark_slice_is_darker_and_noisier() -> None:
    dark = SLICES["dark"](np.full((112, 112, 3), 160, np.uint8), np.random.default_rng(0))
    assert dark.mean() < 110
    assert dark.std() > 3


def test_slices_are_measured_against_whole_references() -> None:
    rates = measure_slices(PatternVerifier(), CROPS, NAMES, 0.6, resamples=20)
    assert set(rates) == {"whole", "relatives", *SLICES}
    assert rates["whole"].genuine == 20 * 3 * 2
    assert rates["whole"].impostors == 60 * 59 - 120
    assert rates["relatives"].impostors == 60 * 3
    assert rates["half-face"].fnmr.value > rates["whole"].fnmr.value


def test_turned_heads_are_a_slice_of_the_probes() -> None:
    """Every third picture of a person is called turned: it is the probe, the reference any other."""
    third = iter([row % 3 == 2 for row in range(60)])
    rates = measure_slices(PatternVerifier(), CROPS, NAMES, 0.6, resamples=5, turned=lambda _: next(third))
    assert rates["turned"].genuine == 20 * 2
    assert rates["turned"].impostors == 20 * 57
    none = measure_slices(PatternVerifier(), CROPS, NAMES, 0.6, resamples=5, turned=lambda _: False)
    assert "turned" not in none


@pytest.mark.parametrize(("nose", "turned"), [(56, False), (64, True), (48, True)])
def test_a_head_is_turned_when_the_nose_is_off_the_middle(nose: int, turned: bool) -> None:
    """Landmarks of the template, but for the nose; where no face is found, nobody can tell."""
    landmarks = TEMPLATE.astype(np.float32).copy()
    landmarks[2, 0] = nose
    face = Face(Box(56, 56, 112, 112), landmarks + 56, 0.9)
    assert is_turned(CROPS[0], FakeFinder([face])) is turned
    assert not is_turned(CROPS[0], FakeFinder([]))


def test_slices_take_whole_families_up_to_the_limit() -> None:
    rates = measure_slices(PatternVerifier(), CROPS, NAMES, 0.6, limit=13, resamples=5)
    assert rates["whole"].identities == 6


def findings(*, opens_doors: bool, unseen: bool = True) -> Findings:
    verifier = PatternVerifier()
    manifest = Manifest(
        format=1, kind="siamese", model_sha256="ab" * 32, align_version=1, embedding_size=196,
        signatures={name: {"inputs": list(i), "outputs": list(o)} for name, (i, o) in SIGNATURES.items()},
        detection_threshold=0.6, verification_threshold=0.5, opens_doors=opens_doors,
        rates={
            "fmr": Rate(value=1e-4, low=0, high=2e-4, identities=7, comparisons=1234, data="half B"),
            "seconds_to_grant": Rate(value=0.2, low=0.1, high=0.3, identities=7, comparisons=99, data="half B"),
        },
        data="drawn patterns, free for all", recipe_sha256="cd" * 32, commit="abc", created="2026-01-01",
    )  # fmt: skip
    return Findings(
        model="siamese.tflite", size_bytes=2_000_000, manifest=manifest,
        evaluation=evaluate(verifier, drawn(), threshold=0.6, resamples=10, quiet=True),
        slices=measure_slices(verifier, CROPS, NAMES, 0.6, resamples=10),
        peer=evaluate(verifier, drawn(), resamples=10, quiet=True),
        peer_slices=measure_slices(verifier, CROPS, NAMES, 0.6, resamples=10),
        recipe={"seed": 7, "data": "ef" * 32, "versions": {"keras": "3"}, "recipe": {"name": "x"}}, curves={},
        unseen=unseen,
    )  # fmt: skip


@pytest.mark.slow
def test_the_card_says_data_terms_counts_command_slices_and_limits() -> None:
    card = model_card(findings(opens_doors=True))
    for words in (
        "drawn patterns, free for all", "60 pictures of 20 identities", "60 genuine and 1,710 impostor",
        "facelatch-train evaluate models/siamese.tflite", "| relatives |", "| fmr | 0.0100% |", "1,234",
        "| seconds_to_grant | 0.200 s | 0.100 s to 0.300 s |",
        "Seed 7", "Read as a probability", *LIMITS,
    ):  # fmt: skip
        assert words in card
    assert "toy" not in card.lower()
    assert "A toy" in model_card(findings(opens_doors=False))


@pytest.mark.slow
def test_the_card_calls_people_unseen_only_where_that_is_known() -> None:
    own_people, unknown_people = (
        model_card(findings(opens_doors=True, unseen=unseen)) for unseen in (True, False)
    )
    assert "none of whom it has seen" in own_people
    assert "none of them trained on" in own_people
    assert "whom it may have been trained on" in unknown_people
    assert "maybe trained on" in unknown_people


@pytest.mark.slow
def test_a_report_knows_the_crop_set_of_the_run(tmp_path: Path, tiny_model: Callable[..., Path]) -> None:
    data = write_crop_set(tmp_path / "set")
    mark = fingerprint(read_index(data))
    for trained_on, same in ((mark, True), ("0" * 64, False), (None, False)):
        model = tiny_model(extra={"trained_on": trained_on, "calibration": {"data_fingerprint": trained_on}})
        gathered = gather_findings(model, data, quiet=True)
        assert gathered.unseen is same
        assert gathered.calibrated_here is same
        assert ("Half of these people chose that threshold" in model_card(gathered)) is same


def test_a_run_that_is_not_the_model_s_is_refused(tmp_path: Path, tiny_model: Callable[..., Path]) -> None:
    data, recipe = write_crop_set(tmp_path / "set"), tiny_recipe()
    model = tiny_model(recipe_sha256=recipe_hash(recipe))
    with pytest.raises(InputError, match="not found"):
        gather_findings(model, data, run=tmp_path / "nowhere")
    RunFolder(tmp_path / "another", recipe.model_copy(update={"seed": 99}), "0" * 64)
    with pytest.raises(InputError, match="recipe_sha256"):
        gather_findings(model, data, run=tmp_path / "another")
    RunFolder(tmp_path / "own", recipe, "0" * 64)
    assert gather_findings(model, data, run=tmp_path / "own", quiet=True).recipe["seed"] == recipe.seed


DOOR = CalibratedDoor(enrolled=10, references=8, required_matches=3)


def visits(value: float, people: int = 30, visits: int = 400) -> Rate:
    return Rate(value=value, low=value / 2, high=value * 2, identities=people, comparisons=visits, data="half B")


def test_the_card_begins_with_what_a_visitor_will_experience() -> None:
    """Five sentences and a table of visits; how it was made comes last, folded away."""
    rates = {
        "far_per_attempt": visits(0.0008),
        "frr_per_attempt_varied": visits(0.0132),
        "frr_per_attempt_still": visits(0.0565),
        "seconds_to_grant": visits(0.133),
        "far_per_attempt_relatives": visits(0.03),
    }
    found = findings(opens_doors=True)
    manifest = found.manifest.model_copy(update={"rates": rates, "calibrated_for": DOOR})
    card = model_card(replace(found, manifest=manifest))
    for sentence in (
        "At a door with 10 people enrolled, it lets in 0.8 (0.4 to 1.6) of 1,000 visits by strangers.",
        "it refuses 1.3 (0.66 to 2.6) of 100 visits where they move about",
        "wait less than 0.13 s",
        "are let in at 3 (1.5 to 6) of 100 visits.",
        "Of 100 single pictures it recognises",
        "| a stranger is let in | 0.08% | 0.04% to 0.16% | 400 by 30 people |",
    ):
        assert sentence in card
    parts = ["## What it does at a door", "](det.svg)", "## Where it is better", "Known limits", "<details>", "sha256"]
    places = [card.index(part) for part in parts]
    assert places == sorted(places)
    assert card.count("<details>") == card.count("</details>") == 3


def test_every_table_row_has_as_many_cells_as_its_head() -> None:
    for block in model_card(findings(opens_doors=True)).split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.splitlines()}) == 1, block


@pytest.mark.slow
def test_the_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    page = write_html(findings(opens_doors=True), tmp_path / "report.html").read_text()
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert page.count("data:image/png;base64,") == 4
    assert page.count('<img src="data:image/svg+xml;base64,') == 1
    assert page.count("<table>") == 3
    assert page.count("<details>") == page.count("</details>") == 4
    assert "half-face" in page
    assert "|---" not in page


def test_the_finder_shipped_beside_the_model_has_its_part() -> None:
    finder = REPO / "models" / "finder.tflite"
    if not finder.is_file():
        pytest.skip("models/finder.tflite is not there yet")
    card = "\n".join(finder_card(finder))
    for words in ("data and terms", "| facelatch |", "| yunet |", "NME"):
        assert words in card
    for block in card.split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.splitlines()}) == 1, block


def test_without_a_finder_there_is_no_part_of_it(tmp_path: Path) -> None:
    assert finder_card(tmp_path / "finder.tflite") == []


def test_the_det_curve_is_drawn_from_figures_alone_and_the_same_each_time(tmp_path: Path) -> None:
    """It lies in the checkout, where no face may; and it begins where ten false matches make a rate."""
    judged = evaluate(PatternVerifier(), drawn(), resamples=5, quiet=True)
    files = [write_det({"model": judged, "peer": judged}, tmp_path / f"{name}.svg") for name in ("a", "b")]
    text = files[0].read_text(encoding="utf-8")
    assert text == files[1].read_text(encoding="utf-8")
    assert "<image" not in text
    assert "this model" in text
    assert "the reference network" in text
    judged = evaluate(PatternVerifier(), drawn(), threshold=0.6, resamples=5, quiet=True)
    assert "its 95 % interval" in write_det({"model": judged}, tmp_path / "c.svg").read_text(encoding="utf-8")
    assert "<image" not in (REPO / "models" / "det.svg").read_text(encoding="utf-8")
    with pytest.raises(InputError, match=r"\.svg and \.png"):
        write_det({"model": judged}, tmp_path / "a.jpg")
