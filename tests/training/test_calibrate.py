"""Thresholds from targets: attempts are played as the daemon plays them, and reported on other people."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from training_doubles import ColourVerifier

from facelatch.errors import InputError, ModelError
from facelatch.vision.align import ALIGN_VERSION
from facelatch.vision.manifest import SIGNATURES, load_manifest
from facelatch_training.judge.calibrate import calibrate, calibrate_on, write
from facelatch_training.judge.halves import calibration_half
from facelatch_training.judge.rates import RELATIVES
from facelatch_training.judge.settings import Setting, choose, with_lookalike_share
from facelatch_training.recipe import Targets


def coloured(people: int, photos: int) -> tuple[np.ndarray, list[str]]:
    rng = np.random.default_rng(3)
    colours = rng.integers(20, 230, (people, 3))
    shades = colours[:, None] + rng.integers(-12, 13, (people, photos, 3))
    crops = np.broadcast_to(shades.reshape(-1, 1, 1, 3), (people * photos, 112, 112, 3)).clip(0, 255)
    return crops.astype(np.uint8), [f"person-{n:03d}" for n in range(people) for _ in range(photos)]


@pytest.mark.slow
def test_relatives_have_a_rate_of_their_own_where_families_are_known() -> None:
    """Twins whom nobody can tell apart: most false grants are theirs."""
    crops, names = coloured(40, 4)
    twins = crops.reshape(20, 2, 4, 112, 112, 3).copy()
    twins[:, 1] = twins[:, 0]
    families = [f"house-{int(name[-3:]) // 2}" for name in names]
    lax = TARGETS.model_copy(update={"fmr": 0.1, "far_per_attempt": 0.5})
    calibration = calibrate(
        ColourVerifier(steepness=8),
        twins.reshape(crops.shape),
        names,
        data="d",
        families=families,
        targets=lax,
    )
    relatives, everybody = (calibration.rates[name] for name in (RELATIVES, "far_per_attempt"))
    assert relatives.value > 2 * everybody.value
    assert relatives.comparisons < everybody.comparisons
    assert "only visits of relatives" in relatives.data
    assert (
        RELATIVES not in calibrate(ColourVerifier(steepness=8), crops, names, data="d", targets=TARGETS).rates
    )


@pytest.mark.slow
def test_a_stricter_detection_threshold_is_taken_where_it_refuses_fewer() -> None:
    crops, names = coloured(40, 4)
    calibration = calibrate(ColourVerifier(steepness=8), crops, names, data="d", targets=TARGETS)
    tried = calibration.about["detection_thresholds_tried"]
    assert tried == sorted(tried)
    assert calibration.detection_threshold in tried
    assert calibration.setting.detection_threshold == calibration.detection_threshold
    thresholds = {entry["detection_threshold"] for entry in calibration.about["settings_tried"]}
    assert thresholds == {calibration.detection_threshold}


def test_the_choice_keeps_the_target_and_refuses_fewest() -> None:
    loose, strict, best = (
        Setting(
            detection_threshold=0.7,
            references=8,
            frames=3,
            verification_threshold=0.1,
            far_per_attempt=0.1,
            frr_per_attempt=0.0,
        ),
        Setting(
            detection_threshold=0.7,
            references=8,
            frames=3,
            verification_threshold=0.9,
            far_per_attempt=0.0,
            frr_per_attempt=0.3,
        ),
        Setting(
            detection_threshold=0.8,
            references=8,
            frames=3,
            verification_threshold=0.5,
            far_per_attempt=0.001,
            frr_per_attempt=0.1,
        ),
    )
    taken = with_lookalike_share(best)
    assert taken.lookalike_verification_threshold == 0.75
    assert choose([loose, strict, best], 0.002) == (taken, True)
    equal = dataclasses.replace(best, detection_threshold=0.75)
    assert choose([equal, best, strict], 0.002) == (taken, True)
    assert choose([loose], 0.002)[1] is False
    doubtful = dataclasses.replace(strict, far_per_attempt=0.0019, far_high=0.003, frr_per_attempt=0.0)
    assert choose([doubtful, best], 0.002) == (taken, True)


def test_halves_keep_families_together() -> None:
    half = calibration_half([f"F{family:04d}" for family in range(60) for _ in (1, 2, 3)]).reshape(60, 3)
    assert (half.all(axis=1) | ~half.any(axis=1)).all()
    assert 15 < half[:, 0].sum() < 45


TARGETS = Targets(fmr=0.01, far_per_attempt=0.05, enrolled=4, references=(4,), frames=(2, 3), households=20)


@pytest.mark.slow
def test_rates_are_reported_on_the_other_half() -> None:
    crops, names = coloured(40, 4)
    calibration = calibrate(ColourVerifier(steepness=8), crops, names, data="drawn colours", targets=TARGETS)
    other = len({name for name, chosen in zip(names, calibration_half(names), strict=True) if not chosen})
    assert calibration.rates["fmr"].identities == other
    assert calibration.rates["fmr"].comparisons == (other * 4) * (other * 4 - 1) // 2 - other * 6
    assert 0 < calibration.detection_threshold < 1
    for rate in calibration.rates.values():
        assert rate.low is not None
        assert rate.high is not None
        assert rate.low <= rate.value <= rate.high
        assert "half B" in rate.data
    assert calibration.rates["fmr"].value < 0.05
    assert "half A" in calibration.about["chosen_on"]


@pytest.mark.slow
def test_the_halves_are_of_families_where_they_are_known() -> None:
    crops, names = coloured(40, 4)
    families = [f"house-{int(name[-3:]) // 2}" for name in names]
    calibration = calibrate(
        ColourVerifier(steepness=8), crops, names, data="d", families=families, targets=TARGETS
    )
    other = {name for name, chosen in zip(names, calibration_half(families), strict=True) if not chosen}
    assert calibration.rates["fmr"].identities == len(other)


@pytest.mark.slow
def test_a_rate_too_small_for_the_data_is_not_met() -> None:
    crops, names = coloured(40, 4)
    targets = TARGETS.model_copy(update={"fmr": 1e-5, "far_per_attempt": 1e-5})
    calibration = calibrate(ColourVerifier(steepness=8), crops, names, data="d", targets=targets)
    assert not calibration.met
    assert any(
        "1e-05 cannot be told from" in why and "1000000 are needed" in why and "comparisons" in why
        for why in calibration.unmet
    )
    assert any("visits of strangers" in why for why in calibration.unmet)


@pytest.mark.slow
def test_more_visits_by_the_same_few_people_do_not_tell_more() -> None:
    crops, names = coloured(40, 4)
    targets = TARGETS.model_copy(update={"far_per_attempt": 0.002, "households": 450})
    calibration = calibrate(ColourVerifier(steepness=8), crops, names, data="d", targets=targets)
    assert calibration.rates["far_per_attempt"].comparisons >= 10 / 0.002
    assert any("different visits of strangers" in why for why in calibration.unmet)


@pytest.mark.slow
def test_rates_that_do_not_hold_on_the_other_half_are_not_met() -> None:
    """Half B are people who all look alike."""
    crops, names = coloured(40, 4)
    crops = crops.copy()
    crops[~calibration_half(names)] = 128
    calibration = calibrate(ColourVerifier(steepness=8), crops, names, data="d", targets=TARGETS)
    assert any(why.startswith("fmr is 1 on half B") for why in calibration.unmet)


@pytest.mark.slow
def test_no_error_seen_is_not_called_no_error() -> None:
    """Of few people nobody was confused: the upper end is three over their number."""
    crops, names = coloured(40, 4)
    crops = np.stack(
        [np.full_like(crop, 6 * int(name[-3:])) for crop, name in zip(crops, names, strict=True)]
    )
    calibration = calibrate(
        ColourVerifier(steepness=8), crops, names, data="d", targets=TARGETS.model_copy(update={"fmr": 1e-3})
    )
    rate = calibration.rates["fmr"]
    assert rate.value == 0
    assert rate.high == pytest.approx(3 / rate.identities)


def test_fewer_people_than_the_door_has_are_an_error() -> None:
    crops, names = coloured(40, 4)
    with pytest.raises(InputError, match="30 enrolled need 31 in each half"):
        calibrate(
            ColourVerifier(steepness=8),
            crops,
            names,
            data="d",
            targets=TARGETS.model_copy(update={"enrolled": 30}),
        )


def test_people_with_one_picture_each_are_an_error() -> None:
    crops, names = coloured(40, 1)
    with pytest.raises(InputError, match="0 people with two photographs or more"):
        calibrate(ColourVerifier(steepness=8), crops, names, data="singles", targets=TARGETS)


@pytest.mark.slow
def test_calibration_repeats() -> None:
    crops, names = coloured(40, 3)
    first, second = (
        calibrate(ColourVerifier(steepness=8), crops, names, data="d", targets=TARGETS) for _ in range(2)
    )
    assert first.as_json() == second.as_json()


def test_too_few_people_are_an_error() -> None:
    crops, names = coloured(6, 4)
    with pytest.raises(InputError, match="6 people; each half of a calibration needs 8"):
        calibrate(ColourVerifier(steepness=8), crops, names, data="few", targets=TARGETS)


def manifest_for(model: Path) -> dict[str, object]:
    return {
        "format": 1, "kind": "siamese", "model_sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "align_version": ALIGN_VERSION, "embedding_size": 128,
        "signatures": {name: {"inputs": list(i), "outputs": list(o)} for name, (i, o) in SIGNATURES.items()},
        "detection_threshold": 0.5, "verification_threshold": 0.5, "opens_doors": False,
        "rates": {"parity": {"value": 0.001, "identities": 3, "comparisons": 9, "data": "kept"}},
        "data": "toy", "recipe_sha256": "1" * 64, "commit": "abc", "created": "2026-01-01", "extra": {"kept": 1},
    }  # fmt: skip


@pytest.mark.slow
def test_the_manifest_gets_thresholds_rates_and_targets_and_keeps_the_rest(tmp_path: Path) -> None:
    crops, names = coloured(40, 3)
    calibration = calibrate(ColourVerifier(steepness=8), crops, names, data="drawn colours", targets=TARGETS)
    model = tmp_path / "siamese.tflite"
    model.write_bytes(b"model")
    model.with_suffix(".json").write_text(json.dumps(manifest_for(model)))
    write(calibration, model)
    manifest = load_manifest(model)
    assert manifest.detection_threshold == pytest.approx(calibration.detection_threshold)
    assert manifest.verification_threshold == calibration.setting.verification_threshold
    assert set(manifest.rates) == {
        "parity",
        "fmr",
        "fnmr",
        "auc",
        "eer",
        "far_per_attempt",
        "frr_per_attempt",
        "frr_per_attempt_still",
        "frr_per_attempt_varied",
        "seconds_to_grant",
    }
    assert manifest.visits is not None
    assert manifest.visits.likeness_threshold <= manifest.detection_threshold
    assert manifest.visits.lookalike_verification_threshold >= manifest.verification_threshold
    assert manifest.extra["kept"] == 1
    assert manifest.extra["calibration"]["targets"]["fmr"] == 0.01
    assert manifest.calibrated_for is not None
    assert manifest.calibrated_for.required_matches == calibration.setting.frames
    assert manifest.opens_doors is False


@pytest.mark.slow
def test_a_manifest_of_another_file_is_left_alone(tmp_path: Path) -> None:
    crops, names = coloured(40, 3)
    calibration = calibrate(ColourVerifier(steepness=8), crops, names, data="d", targets=TARGETS)
    model = tmp_path / "siamese.tflite"
    model.write_bytes(b"model")
    document = json.dumps(manifest_for(model))
    model.with_suffix(".json").write_text(document)
    model.write_bytes(b"another")
    with pytest.raises(ModelError, match="sha256"):
        write(calibration, model)
    assert model.with_suffix(".json").read_text() == document


def test_a_keras_file_has_no_manifest_to_calibrate(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="manifest of an exported file"):
        calibrate_on(tmp_path / "siamese.keras", tmp_path, TARGETS)
