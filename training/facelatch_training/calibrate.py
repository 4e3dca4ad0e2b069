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

from facelatch.config.file import Config
from facelatch.errors import InputError
from facelatch.ports import Verifier
from facelatch.vision.manifest import CalibratedDoor, Manifest, Rate, load_manifest
from facelatch_training import metrics
from facelatch_training.attempts import FrameSet, Ints, Visits, granted, make_frames, sample_visits
from facelatch_training.data.dataset import family_of, fingerprint, read_index
from facelatch_training.evaluate import compare_all
from facelatch_training.files import replacing
from facelatch_training.metrics import Comparisons, Ranked
from facelatch_training.protocols import gather, prepared
from facelatch_training.recipe import Targets
from facelatch_training.verifiers import embed_both, open_verifier

_FMR_SHARES = (1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.2)
"""Shares of the FMR asked for whose detection thresholds are tried. References come in whole numbers: a stricter
threshold that fewer of them have to reach may refuse fewer people than the loosest.
"""
RELATIVES = "far_per_attempt_relatives"
"""The rate of those false grants that no threshold for strangers prevents: a brother, a daughter of somebody enrolled.
They are among the visitors of `far_per_attempt`, too, as often as the sample has them.
"""
_MIN_PEOPLE = 8


@dataclass(frozen=True)
class Setting:
    """One way to run the door, and what it did on the calibration half."""

    detection_threshold: float
    references: int
    frames: int
    verification_threshold: float
    far_per_attempt: float
    frr_per_attempt: float


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
    spread = metrics.bootstrap(first, {"t": lambda found: found.threshold_at(fmr)}, seed=wanted.seed)["t"]
    second = _comparisons(verifier, crops[~chosen], names[~chosen])
    (judged,) = make_frames(
        verifier, crops[~chosen], _numbers(names[~chosen]), homes[~chosen], [detection], wanted.seed + 1
    )
    rates = {
        **_comparison_rates(second, detection, f"{data}, half B of its families", wanted.seed),
        **_attempt_rates(judged, setting, wanted, f"{data}, half B of its families, simulated visits"),
    }
    unmet = [] if kept else [f"no setting tried keeps {wanted.far_per_attempt:g} false grants a visit"]
    unmet += [*untold, *_contradicted(rates, wanted)]
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
        f"{target:g} cannot be told from {count} {what}: {math.ceil(metrics.MIN_ERRORS / target)} are needed"
        for target, count, what in (
            (wanted.fmr, impostors, "impostor comparisons"),
            (wanted.far_per_attempt, visits, "different visits of strangers"),
        )
        if target * count < metrics.MIN_ERRORS
    ]


def _contradicted(rates: dict[str, Rate], wanted: Targets) -> list[str]:
    """Targets that the other half is too far above to be chance."""
    return [
        f"{name} is {rates[name].value:.3g} on half B, {target:g} was asked for"
        for name, target in (("fmr", wanted.fmr), ("far_per_attempt", wanted.far_per_attempt))
        if (rates[name].low or 0.0) > target
    ]


def calibration_half(families: Sequence[str]) -> npt.NDArray[np.bool_]:
    """(N,) whether each picture belongs to half A: by a stable hash of its family, so relatives stay together."""
    return np.array(
        [hashlib.sha256(f"half:{family}".encode()).digest()[0] < 128 for family in families],
        dtype=bool,
    )


def try_settings(frames: FrameSet, detection: float, targets: Targets) -> list[Setting]:
    """Every verification threshold of every allowed number of references and frames; `frames` by `detection`."""
    tried = []
    for references in targets.references:
        visits = _visits(frames, references, targets)
        for required in targets.frames:
            for detections in range(1, references + 1):
                share = detections / references
                far, frr = attempt_errors(visits, _outcome(visits, share, required))
                tried.append(
                    Setting(detection, references, required, share, float(far.mean()), float(frr.mean()))
                )
    return tried


def choose(tried: Sequence[Setting], far: float) -> tuple[Setting, bool]:
    """The setting with the fewest false refusals that keeps `far`, or the safest when none does (False)."""
    safe = [setting for setting in tried if setting.far_per_attempt <= far]
    if not safe:
        return min(tried, key=lambda setting: (setting.far_per_attempt, setting.frr_per_attempt)), False
    # Among equals the higher thresholds and fewer frames: safer, and quicker.
    best = min(
        safe,
        key=lambda s: (
            round(s.frr_per_attempt, 4),
            -s.verification_threshold,
            -s.detection_threshold,
            s.references + s.frames,
        ),
    )
    return best, True


def attempt_errors(visits: Visits, outcome: Ints) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Per stranger the share of visits granted, per enrolled person the share not granted as that person.

    The worse of still and varied visits counts for strangers, the mean of both for the enrolled.
    """
    stranger = visits.own < 0
    wrong = outcome != visits.own
    return _false_grants(visits, outcome, stranger), _per_person(visits.visitor[~stranger], wrong[~stranger])


def _false_grants(
    visits: Visits, outcome: Ints, strangers: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    by_kind = [
        _per_person(visits.visitor[strangers & kind], outcome[strangers & kind] >= 0)
        for kind in (visits.still, ~visits.still)
    ]
    return max(by_kind, key=lambda rates: float(rates.mean()))


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


def _visits(frames: FrameSet, references: int, targets: Targets) -> Visits:
    return sample_visits(
        frames,
        enrolled=targets.enrolled,
        references=references,
        households=targets.households,
        seed=targets.seed,
    )


def _outcome(visits: Visits, share: float, required: int) -> Ints:
    door = Config()
    return granted(
        visits,
        verification=share,
        required=required,
        refusal_frames=door.session.refusal_frames,
        ambiguity_margin=door.model.ambiguity_margin,
    )


def _per_person(people: Ints, wrong: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    _, place = np.unique(people, return_inverse=True)
    place = place.reshape(-1)
    return np.asarray(np.bincount(place, wrong) / np.bincount(place), np.float64)


def _comparison_rates(comparisons: Comparisons, threshold: float, data: str, seed: int) -> dict[str, Rate]:
    figures = metrics.bootstrap(
        comparisons,
        {
            "fmr": lambda found: found.fmr(threshold),
            "fnmr": lambda found: found.fnmr(threshold),
            "auc": Ranked.auc,
            "eer": Ranked.eer,
        },
        seed=seed,
    )
    counts = {"fmr": int((~comparisons.genuine).sum()), "fnmr": int(comparisons.genuine.sum())}
    return {
        name: Rate(
            value=found.value,
            low=found.low,
            high=found.high if found.value else metrics.none_seen(comparisons.identities),
            identities=comparisons.identities,
            comparisons=counts.get(name, len(comparisons)),
            data=data,
        )
        for name, found in figures.items()
    }


def _attempt_rates(frames: FrameSet, setting: Setting, targets: Targets, data: str) -> dict[str, Rate]:
    visits = _visits(frames, setting.references, targets)
    outcome = _outcome(visits, setting.verification_threshold, setting.frames)
    far, frr = attempt_errors(visits, outcome)
    words = (
        f"{data}: {targets.enrolled} enrolled with {setting.references} references, "
        f"{setting.frames} consecutive frames"
    )
    rng = np.random.default_rng(targets.seed)
    asked = [
        ("far_per_attempt", far, int((visits.own < 0).sum()) // 2),
        ("frr_per_attempt", frr, int((visits.own >= 0).sum())),
    ]
    if visits.related.any():
        far = _false_grants(visits, outcome, visits.related)
        asked.append((RELATIVES, far, int(visits.related.sum()) // 2))
    rates = {}
    for name, per_person, visited in asked:
        means = [float(rng.choice(per_person, len(per_person)).mean()) for _ in range(500)]
        low, high = np.percentile(means, [2.5, 97.5])
        rates[name] = Rate(
            value=float(per_person.mean()),
            low=float(low),
            high=float(high) if per_person.any() else metrics.none_seen(len(per_person)),
            identities=len(per_person),
            comparisons=visited,
            data=words + (", only visits of relatives of the enrolled" if name == RELATIVES else ""),
        )
    return rates
