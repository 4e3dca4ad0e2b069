"""Thresholds from error rates that were asked for, chosen on one half of unseen people, reported on the other.

The detection threshold answers for one comparison (FMR). The verification threshold, the number of references and
of frames answer for a whole attempt at a door with so many people enrolled (FAR per attempt), because that is what
a stranger gets; see `attempts`. What the data cannot tell is not promised: a rate is chosen only where ten errors
are to be expected, and both rates have to hold on the other half too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facelatch.errors import InputError
from facelatch.ports import Verifier
from facelatch.vision import fusion
from facelatch.vision.manifest import CalibratedDoor, CalibratedVisits, Manifest, Rate, load_manifest
from facelatch_training.data.dataset import family_of, fingerprint, read_index
from facelatch_training.files import replacing
from facelatch_training.judge import intervals, metrics
from facelatch_training.judge.attempts import Similarities, Street
from facelatch_training.judge.frames import Frames
from facelatch_training.judge.halves import Half, halves, photographs_for, unmeasurable_targets
from facelatch_training.judge.hard_slices import covered_floor
from facelatch_training.judge.metrics import Comparisons
from facelatch_training.judge.protocols import gather, prepared
from facelatch_training.judge.rates import (
    RELATIVES,
    WORST_SLICE,
    attempt_rates,
    comparison_rates,
    contradicted,
)
from facelatch_training.judge.settings import Setting, choose, try_settings, visits_for
from facelatch_training.judge.verifiers import open_verifier
from facelatch_training.recipe import Targets

_FMR_SHARES = (1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.25, 0.2, 0.16, 0.13, 0.1)
"""Shares of the FMR asked for whose detection thresholds are tried. References come in whole numbers: a stricter
threshold that fewer of them have to reach may refuse fewer people than the loosest.
"""

LIKENESS_FMR = 0.05
"""Share of strangers' pictures that are alike enough to follow a track. At 0.01 one varied visit in ten had its track
ended by another photograph of the same person, and 3 % of them were refused in place of 0.7 % (half A)."""

LOOKALIKE_SHARE = 0.005
"""Share of pairs of strangers who are called look-alikes: one in five galleries of ten has such a pair."""


@dataclass(frozen=True)
class Calibration:
    """The thresholds with the rates on people who had no part in choosing them."""

    setting: Setting
    similarities: Similarities
    """With the one detection threshold that was chosen."""
    unmet: tuple[str, ...]
    """What keeps the targets from being met, in words; empty when they are."""
    rates: dict[str, Rate]
    about: dict[str, Any] = field(repr=False)
    """Targets, data and everything tried, for the manifest's `extra`."""
    enrolled: int
    """People in the gallery."""

    @property
    def detection_threshold(self) -> float:
        """The chosen one."""
        return self.setting.detection_threshold

    @property
    def met(self) -> bool:
        """Whether all targets are met, as far as such data can tell."""
        return not self.unmet

    def as_json(self) -> dict[str, Any]:
        """The fields of the manifest that calibration fills."""
        setting = self.setting
        door = CalibratedDoor(
            enrolled=self.enrolled, references=setting.references, required_matches=setting.frames
        )
        visits = CalibratedVisits(
            likeness_threshold=self.similarities.likeness,
            steady_threshold=self.similarities.steady,
            lookalike_threshold=self.similarities.lookalike,
            lookalike_verification_threshold=setting.lookalike_verification_threshold,
        )
        return {
            "detection_threshold": setting.detection_threshold,
            "verification_threshold": setting.verification_threshold,
            "visits": visits.model_dump(),
            "rates": {name: rate.model_dump() for name, rate in self.rates.items()},
            "calibrated_for": door.model_dump(),
            "extra": {"calibration": self.about},
        }


def calibrate(
    verifier: Verifier,
    crops: npt.NDArray[np.uint8],
    identities: Sequence[str],
    *,
    data: str,
    families: Sequence[str] | None = None,
    targets: Targets | None = None,
) -> Calibration:
    """Chooses on one half of the families of `crops` (N, 112, 112, 3), reports on the other.

    `data` says in words which pictures these are; `families` (N,) None: what the names tell. Raises
    InputError when there are too few people.
    """
    targets = targets or Targets()
    families = families or [family_of(name) for name in identities]
    unmeasurable = unmeasurable_targets(identities, families, targets, data)
    photographs = photographs_for(identities, families, targets.enrolled)
    half_a, half_b = halves(crops, identities, families)
    compared = half_a.comparisons(verifier)
    frames = half_a.frames(verifier, targets.seed)
    floor = covered_floor(verifier, half_a.crops, half_a.people, targets)
    similarities = similarities_of(verifier, compared, frames, detections_to_try(compared, targets, floor))
    street = half_a.street(verifier, frames, similarities, targets.seed)
    tried = _try_all(street, similarities, photographs, targets)
    setting, kept = choose(tried, targets.far_per_attempt)
    used = replace(similarities, detections=(setting.detection_threshold,))
    rates = _rates_on(verifier, half_b, (setting, used, photographs), targets, f"{data}, half B of its families")
    unmet = [] if kept else [f"no setting tried keeps {targets.far_per_attempt:g} false grants a visit"]
    unmet += [*unmeasurable, *contradicted(rates, targets)]
    return Calibration(
        setting=setting,
        similarities=used,
        unmet=tuple(unmet),
        rates=rates,
        enrolled=targets.enrolled,
        about={
            **_about_targets(targets),
            **_about_choice(compared, similarities.detections, tried, setting, targets),
            "unmet": unmet,
            "chosen_on": f"{data}, half A of its families: {_in_words(compared)}",
        },
    )


def _try_all(
    street: Street, similarities: Similarities, photographs: int, targets: Targets
) -> list[Setting]:
    """Every allowed setting at every detection threshold, with what it did on this half."""
    return [
        setting
        for references in targets.references
        for detection, sample in zip(
            similarities.detections,
            visits_for(street, similarities, references, photographs, targets),
            strict=True,
        )
        for setting in try_settings(sample, detection, targets.frames)
    ]


def _rates_on(
    verifier: Verifier, half: Half, chosen: tuple[Setting, Similarities, int], targets: Targets, data: str
) -> dict[str, Rate]:
    """What the chosen setting does on the half that had no part in choosing it; `data` are its pictures in words."""
    setting, similarities, photographs = chosen
    frames = half.frames(verifier, targets.seed + 1)
    street = half.street(verifier, frames, similarities, targets.seed + 1)
    (sample,) = visits_for(street, similarities, setting.references, photographs, targets)
    return {
        **comparison_rates(half.comparisons(verifier), setting.detection_threshold, data, targets.seed),
        **attempt_rates(sample, setting, targets, photographs, f"{data}, simulated visits"),
    }


def detections_to_try(compared: Comparisons, targets: Targets, floor: float = 0.0) -> list[float]:
    """The thresholds to try, one for each of _FMR_SHARES, ascending; none below `floor`, which is tried instead."""
    ranks = metrics.ranked(compared)
    tried = {max(floor, ranks.threshold_at(share * targets.fmr)) for share in _FMR_SHARES}
    return sorted(float(np.clip(threshold, 1e-6, 1 - 1e-6)) for threshold in tried)


def similarities_of(
    verifier: Verifier, compared: Comparisons, frames: Frames, detections: Sequence[float]
) -> Similarities:
    """Beside the detection thresholds to try those that do not depend on a gallery."""
    likeness = metrics.ranked(compared).threshold_at(LIKENESS_FMR)
    return Similarities(
        detections=tuple(detections),
        likeness=float(np.clip(likeness, 1e-6, detections[0])),
        steady=detections[0],
        lookalike=lookalike_threshold(verifier, frames),
    )


def lookalike_threshold(verifier: Verifier, frames: Frames) -> float:
    """From which similarity of what their references have in common two people are look-alikes."""
    middles = np.stack([fusion.middle(frames.references[photos, 0]) for photos in frames.photos])
    found = np.stack([verifier.compare(one, middles) for one in middles])
    strangers = frames.families[:, None] != frames.families[None]
    return float(np.clip(np.quantile(found[strangers], 1 - LOOKALIKE_SHARE), 1e-6, 1 - 1e-6))


def _threshold_interval(compared: Comparisons, fmr: float, seed: int) -> list[float]:
    """How far chance could have moved the threshold of this FMR: low and high end."""
    spread = intervals.bootstrap(compared, {"threshold": lambda ranks: ranks.threshold_at(fmr)}, seed=seed)
    return [spread["threshold"].low, spread["threshold"].high]


def _about_targets(targets: Targets) -> dict[str, Any]:
    """All that was asked for, and the three that a reader of the manifest looks for first."""
    first = ("fmr", "far_per_attempt", "enrolled")
    return {
        "asked": targets.model_dump(mode="json"),
        "targets": {name: getattr(targets, name) for name in first},
    }


def _about_choice(
    compared: Comparisons,
    thresholds: Sequence[float],
    tried: Sequence[Setting],
    setting: Setting,
    targets: Targets,
) -> dict[str, Any]:
    """What was tried, and how far chance could have moved the chosen detection threshold."""
    chosen = setting.detection_threshold
    fmr = max(metrics.ranked(compared).fmr(chosen), 1 / len(compared))
    return {
        "detection_threshold_interval": _threshold_interval(compared, fmr, targets.seed),
        "detection_thresholds_tried": list(thresholds),
        "settings_tried": [vars(entry) for entry in tried if entry.detection_threshold == chosen],
    }


def _in_words(compared: Comparisons) -> str:
    genuine = int(compared.genuine.sum())
    return f"{compared.identities} identities, {genuine} genuine and {len(compared) - genuine} impostor comparisons"


def calibrate_on(model: Path, data: Path, targets: Targets) -> Calibration:
    """Calibrates the exported file `model` on the validation split of the crop set `data`. Raises as `calibrate`,
    and InputError for a `.keras` file, which has no manifest to keep thresholds in.
    """
    if model.suffix != ".tflite":
        raise InputError(
            f"{model}: thresholds belong into the manifest of an exported file",
            hint="`facelatch-train export` calibrates what it exports",
        )
    protocol = prepared(data)
    calibration = calibrate(
        open_verifier(model),
        gather(protocol),
        protocol.identities,
        data=protocol.name,
        families=protocol.families,
        targets=targets,
    )
    calibration.about["data_fingerprint"] = fingerprint(read_index(data))
    return calibration


def write(calibration: Calibration, model: Path) -> Path:
    """Into the manifest beside a `.tflite` model.

    Raises ModelError when the manifest does not fit the model, TrainingError when the file cannot be written; the old
    one stays until the new one is whole.
    """
    fields = calibration.as_json()
    manifest = load_manifest(model).model_dump()
    manifest["extra"].update(fields.pop("extra"))
    manifest["rates"].pop(RELATIVES, None)  # not measured on every set of people
    manifest["rates"].pop(WORST_SLICE, None)  # measured at the thresholds before
    manifest["extra"].pop("hard", None)
    manifest["rates"].update(fields.pop("rates"))
    path, text = model.with_suffix(".json"), Manifest(**{**manifest, **fields}).model_dump_json(indent=2)
    with replacing(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")
    return path


