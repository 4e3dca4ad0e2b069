"""Ways to run the door, and what each of them does: tried in simulated visits, and chosen among."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facelatch.config.file import Config
from facelatch_training.judge.attempts import FrameSet, Ints, Visits, granted, sample_visits
from facelatch_training.recipe import Targets


@dataclass(frozen=True)
class Setting:
    """One way to run the door, and what it did on the calibration half."""

    detection_threshold: float
    references: int
    frames: int
    verification_threshold: float
    far_per_attempt: float
    frr_per_attempt: float


def try_settings(frames: FrameSet, detection: float, targets: Targets) -> list[Setting]:
    """Every verification threshold of every allowed number of references and frames; `frames` by `detection`."""
    tried = []
    for references in targets.references:
        visits = visits_for(frames, references, targets)
        for required in targets.frames:
            for detections in range(1, references + 1):
                share = detections / references
                far, frr = attempt_errors(visits, play(visits, share, required))
                tried.append(
                    Setting(
                        detection_threshold=detection,
                        references=references,
                        frames=required,
                        verification_threshold=share,
                        far_per_attempt=float(far.mean()),
                        frr_per_attempt=float(frr.mean()),
                    )
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
    return false_grants(visits, outcome, stranger), _per_person(visits.visitor[~stranger], wrong[~stranger])


def false_grants(visits: Visits, outcome: Ints, strangers: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Per stranger (of `strangers`, (A,)) the share of visits granted, still or varied ones: whichever is worse."""
    by_kind = [
        _per_person(visits.visitor[strangers & kind], outcome[strangers & kind] >= 0)
        for kind in (visits.still, ~visits.still)
    ]
    return max(by_kind, key=lambda rates: float(rates.mean()))


def visits_for(frames: FrameSet, references: int, targets: Targets) -> Visits:
    """Seeded visits to the door that `targets` are asked for, with so many references of each person."""
    return sample_visits(
        frames,
        enrolled=targets.enrolled,
        references=references,
        households=targets.households,
        seed=targets.seed,
    )


def play(visits: Visits, share: float, required: int) -> Ints:
    """(A,) who was granted, by the daemon's own rules, when this share of references and so many frames decide."""
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
