"""Thresholds from error rates that were asked for, chosen on one half of unseen people, reported on the other.

The detection threshold answers for one comparison (FMR). The verification threshold, the number of references and
of frames answer for a whole attempt at a door with so many people enrolled (FAR per attempt), because that is what
a stranger gets; see `attempts`. What the data cannot tell is not promised: a rate is chosen only where ten errors
are to be expected, and both rates have to hold on the other half too.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
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
from facelatch_training.judge.attempts import Ints, make_frames
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
    wanted = targets or Targets()
    kinship = families or [family_of(name) for name in identities]
    chosen, names = calibration_half(kinship), np.array(identities)
    untold = refuse_too_few(identities, kinship, wanted, data)
    homes = _numbers(np.array(kinship))
    first = _comparisons(verifier, crops[chosen], names[chosen])
    ranks = metrics.ranked(first)
    thresholds = [
        float(np.clip(ranks.threshold_at(share * wanted.fmr), 1e-6, 1 - 1e-6)) for share in _FMR_SHARES
    ]
    graded = make_frames(
        verifier, crops[chosen], _numbers(names[chosen]), homes[chosen], thresholds, wanted.seed
    )
    bar = tqdm(thresholds, desc="visits", unit="threshold", leave=False, disable=None)
    tried = [
        setting
        for threshold, frames in zip(bar, graded, strict=True)
        for setting in try_settings(frames, threshold, wanted)
    ]
    setting, kept = choose(tried, wanted.far_per_attempt)
    detection = setting.detection_threshold
    fmr = _FMR_SHARES[thresholds.index(detection)] * wanted.fmr
    spread = intervals.bootstrap(first, {"t": lambda found: found.threshold_at(fmr)}, seed=wanted.seed)["t"]
    second = _comparisons(verifier, crops[~chosen], names[~chosen])
    (judged,) = make_frames(
        verifier, crops[~chosen], _numbers(names[~chosen]), homes[~chosen], [detection], wanted.seed + 1
    )
    rates = {
        **comparison_rates(second, detection, f"{data}, half B of its families", wanted.seed),
        **attempt_rates(judged, setting, wanted, f"{data}, half B of its families, simulated visits"),
    }
    unmet = [] if kept else [f"no setting tried keeps {wanted.far_per_attempt:g} false grants a visit"]
    unmet += [*untold, *contradicted(rates, wanted)]
    return Calibration(
        detection_threshold=detection,
        setting=setting,
        unmet=tuple(unmet),
        rates=rates,
        door=CalibratedDoor(
            enrolled=wanted.enrolled, references=setting.references, required_matches=setting.frames
        ),
        about={
            "asked": wanted.model_dump(mode="json"),
            "targets": {
                "fmr": wanted.fmr,
                "far_per_attempt": wanted.far_per_attempt,
                "enrolled": wanted.enrolled,
            },
            "unmet": unmet,
            "chosen_on": f"{data}, half A of its families: {first.identities} identities, "
            f"{int(first.genuine.sum())} genuine and {int((~first.genuine).sum())} impostor comparisons",
            "detection_threshold_interval": [spread.low, spread.high],
            "detection_thresholds_tried": thresholds,
            "settings_tried": [vars(entry) for entry in tried if entry.detection_threshold == detection],
        },
    )


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
    found = calibrate(
        open_verifier(model),
        gather(protocol),
        protocol.identities,
        data=protocol.name,
        families=protocol.families,
        targets=targets,
    )
    found.about["data_fingerprint"] = fingerprint(read_index(data))
    return found


def refuse_too_few(
    identities: Sequence[str], families: Sequence[str], wanted: Targets, data: str
) -> list[str]:
    """Targets too small for so few pictures (N,), in words: nobody would notice if they were missed.

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
    if able <= wanted.enrolled:
        raise InputError(
            f"{data}: {able} people with two photographs or more; visits to a door with {wanted.enrolled} enrolled "
            f"need {wanted.enrolled + 1} in each half",
            hint="calibrate on more people, or for a smaller --enrolled",
        )
    pictures = int(counts[0].sum())
    impostors = pictures * (pictures - 1) // 2 - int((counts[0] * (counts[0] - 1) // 2).sum())
    # However many visits are simulated, so many galleries' worth of different pairs are there to be seen.
    people = len(counts[1])
    visits = min(wanted.households * (people - wanted.enrolled), people * (people - 1) // wanted.enrolled)
    return [
        f"{target:g} cannot be told from {count} {what}: {math.ceil(intervals.MIN_ERRORS / target)} are needed"
        for target, count, what in (
            (wanted.fmr, impostors, "impostor comparisons"),
            (wanted.far_per_attempt, visits, "different visits of strangers"),
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


def _comparisons(
    verifier: Verifier, crops: npt.NDArray[np.uint8], names: npt.NDArray[np.str_]
) -> Comparisons:
    present = np.ones(len(crops), dtype=bool)
    return compare_all(verifier, embed_both(verifier, crops), present, _numbers(names).astype(np.int32))
