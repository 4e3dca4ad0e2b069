"""Thresholds from error rates that were asked for, chosen on one half of unseen people, reported on the other.

The detection threshold answers for one comparison (FMR). The verification threshold, the number of references and
of frames answer for a whole attempt at a door with so many people enrolled (FAR per attempt), because that is what
a stranger gets; see `attempts`. What the data cannot tell is not promised: a rate is chosen only where ten errors
are to be expected, and both rates have to hold on the other half too.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from facelatch.errors import InputError
from facelatch.ports import Verifier
from facelatch.vision.manifest import CalibratedDoor, Manifest, Rate, load_manifest
from facelatch_training.data.dataset import family_of, fingerprint, read_index
from facelatch_training.files import replacing
from facelatch_training.judge import intervals, metrics
from facelatch_training.judge.attempts import FrameSet, Ints, make_frames
from facelatch_training.judge.comparisons import compare_all
from facelatch_training.judge.metrics import Comparisons
from facelatch_training.judge.protocols import gather, prepared
from facelatch_training.judge.rates import RELATIVES, attempt_rates, comparison_rates, contradicted
from facelatch_training.judge.settings import Setting, choose, try_settings
from facelatch_training.judge.verifiers import embed_both, open_verifier
from facelatch_training.recipe import Targets

_FMR_SHARES = (1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.2)
"""Shares of the FMR asked for whose detection thresholds are tried. References come in whole numbers: a stricter
threshold that fewer of them have to reach may refuse fewer people than the loosest.
"""

_MIN_PEOPLE = 8


@dataclass(frozen=True)
class Calibration:
    """The thresholds with the rates on people who had no part in choosing them."""

    detection_threshold: float
    setting: Setting
    unmet: tuple[str, ...]
    """What keeps the targets from being met, in words; empty when they are."""
    rates: dict[str, Rate]
    about: dict[str, Any] = field(repr=False)
    """Targets, data and everything tried, for the manifest's `extra`."""
    door: CalibratedDoor

    @property
    def met(self) -> bool:
        """Whether both targets are met, as far as such data can tell."""
        return not self.unmet

    def as_json(self) -> dict[str, Any]:
        """The fields of the manifest that calibration fills."""
        return {
            "detection_threshold": self.detection_threshold,
            "verification_threshold": self.setting.verification_threshold,
            "rates": {name: rate.model_dump() for name, rate in self.rates.items()},
            "calibrated_for": self.door.model_dump(),
            "extra": {"calibration": self.about},
        }


@dataclass(frozen=True, eq=False)
class _Half:
    """One half of the people: N pictures, the person and the family that each shows as numbers (N,)."""

    crops: npt.NDArray[np.uint8]
    people: Ints
    families: Ints

    def comparisons(self, verifier: Verifier) -> Comparisons:
        """Every picture against every other."""
        present = np.ones(len(self.crops), dtype=bool)
        embedded = embed_both(verifier, self.crops)
        return compare_all(verifier, embedded, present, self.people.astype(np.int32))

    def frames(self, verifier: Verifier, thresholds: Sequence[float], seed: int) -> Iterator[FrameSet]:
        """The frames that visits are drawn from, once for each detection threshold."""
        return make_frames(verifier, self.crops, self.people, self.families, thresholds, seed)


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
    half_a, half_b = _halves(crops, identities, families)
    compared = half_a.comparisons(verifier)
    detection_thresholds = _detection_thresholds(compared, targets)
    tried = _try_all(verifier, half_a, detection_thresholds, targets)
    setting, kept = choose(tried, targets.far_per_attempt)
    rates = _rates_on(verifier, half_b, setting, targets, f"{data}, half B of its families")
    unmet = [] if kept else [f"no setting tried keeps {targets.far_per_attempt:g} false grants a visit"]
    unmet += [*unmeasurable, *contradicted(rates, targets)]
    share = _FMR_SHARES[detection_thresholds.index(setting.detection_threshold)]
    return Calibration(
        detection_threshold=setting.detection_threshold,
        setting=setting,
        unmet=tuple(unmet),
        rates=rates,
        door=CalibratedDoor(
            enrolled=targets.enrolled, references=setting.references, required_matches=setting.frames
        ),
        about={
            **_about_targets(targets),
            "unmet": unmet,
            "chosen_on": f"{data}, half A of its families: {_in_words(compared)}",
            "detection_threshold_interval": _threshold_interval(compared, share * targets.fmr, targets.seed),
            "detection_thresholds_tried": detection_thresholds,
            "settings_tried": [
                vars(entry) for entry in tried if entry.detection_threshold == setting.detection_threshold
            ],
        },
    )


def _halves(
    crops: npt.NDArray[np.uint8], identities: Sequence[str], families: Sequence[str]
) -> tuple[_Half, _Half]:
    """Half A, on which thresholds are chosen, and half B, on which they are reported."""
    in_a, names, family_numbers = (
        calibration_half(families),
        np.array(identities),
        _numbers(np.array(families)),
    )
    half_a, half_b = (
        _Half(crops[half], _numbers(names[half]), family_numbers[half]) for half in (in_a, ~in_a)
    )
    return half_a, half_b


def _detection_thresholds(compared: Comparisons, targets: Targets) -> list[float]:
    """The thresholds to try, one for each of _FMR_SHARES, ascending."""
    ranks = metrics.ranked(compared)
    return [float(np.clip(ranks.threshold_at(share * targets.fmr), 1e-6, 1 - 1e-6)) for share in _FMR_SHARES]


def _try_all(verifier: Verifier, half: _Half, thresholds: Sequence[float], targets: Targets) -> list[Setting]:
    """Every allowed setting at every detection threshold, with what it did on this half."""
    frames_by_threshold = half.frames(verifier, thresholds, targets.seed)
    bar = tqdm(thresholds, desc="visits", unit="threshold", leave=False, disable=None)
    return [
        setting
        for threshold, frames in zip(bar, frames_by_threshold, strict=True)
        for setting in try_settings(frames, threshold, targets)
    ]


def _rates_on(
    verifier: Verifier, half: _Half, setting: Setting, targets: Targets, data: str
) -> dict[str, Rate]:
    """What the chosen setting does on the half that had no part in choosing it; `data` are its pictures in words."""
    threshold = setting.detection_threshold
    compared = half.comparisons(verifier)
    (frames,) = half.frames(verifier, [threshold], targets.seed + 1)
    return {
        **comparison_rates(compared, threshold, data, targets.seed),
        **attempt_rates(frames, setting, targets, f"{data}, simulated visits"),
    }


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


def unmeasurable_targets(
    identities: Sequence[str], families: Sequence[str], targets: Targets, data: str
) -> list[str]:
    """Targets that so few pictures (N,) cannot measure, in words: too few errors are to be expected.

    Known before any model is there. Raises InputError where nothing could be calibrated at all.
    """
    chosen, names = calibration_half(families), np.array(identities)
    counts = [np.unique(half, return_counts=True)[1] for half in (names[chosen], names[~chosen])]
    if min(map(len, counts)) < _MIN_PEOPLE:
        raise InputError(
            f"{data}: {len(set(identities))} people; each half of a calibration needs {_MIN_PEOPLE}",
            hint="calibrate on more people, none of whom was trained on",
        )
    able = min(int((half > 1).sum()) for half in counts)
    if able <= targets.enrolled:
        raise InputError(
            f"{data}: {able} people with two photographs or more; visits to a door with {targets.enrolled} enrolled "
            f"need {targets.enrolled + 1} in each half",
            hint="calibrate on more people, or for a smaller --enrolled",
        )
    pictures = int(counts[0].sum())
    impostors = pictures * (pictures - 1) // 2 - int((counts[0] * (counts[0] - 1) // 2).sum())
    # However many visits are simulated, so many galleries' worth of different pairs are there to be seen.
    people = len(counts[1])
    visits = min(targets.households * (people - targets.enrolled), people * (people - 1) // targets.enrolled)
    return [
        f"{target:g} cannot be told from {count} {what}: {math.ceil(intervals.MIN_ERRORS / target)} are needed"
        for target, count, what in (
            (targets.fmr, impostors, "impostor comparisons"),
            (targets.far_per_attempt, visits, "different visits of strangers"),
        )
        if target * count < intervals.MIN_ERRORS
    ]


def calibration_half(families: Sequence[str]) -> npt.NDArray[np.bool_]:
    """(N,) whether each picture belongs to half A: by a stable hash of its family, so relatives stay together."""
    return np.array(
        [hashlib.sha256(f"half:{family}".encode()).digest()[0] < 128 for family in families],
        dtype=bool,
    )


def write(calibration: Calibration, model: Path) -> Path:
    """Into the manifest beside a `.tflite` model.

    Raises ModelError when the manifest does not fit the model, TrainingError when the file cannot be written; the old
    one stays until the new one is whole.
    """
    fields = calibration.as_json()
    manifest = load_manifest(model).model_dump()
    manifest["extra"].update(fields.pop("extra"))
    manifest["rates"].pop(RELATIVES, None)  # not measured on every set of people
    manifest["rates"].update(fields.pop("rates"))
    path, text = model.with_suffix(".json"), Manifest(**{**manifest, **fields}).model_dump_json(indent=2)
    with replacing(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")
    return path


def _numbers(names: npt.NDArray[np.str_]) -> Ints:
    return np.unique(names, return_inverse=True)[1].reshape(-1).astype(np.int64)
