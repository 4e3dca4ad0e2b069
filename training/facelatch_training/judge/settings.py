"""Ways to run the door, and what each of them does: tried in simulated visits, and chosen among."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from facelatch.config.file import Config
from facelatch_training.judge.attempts import (
    Bools,
    Rules,
    Similarities,
    Street,
    Visits,
    anybody,
    granted,
    sample_visits,
)
from facelatch_training.judge.frames import Ints
from facelatch_training.recipe import Targets

PHOTOGRAPHS = 5
"""Of a person who is enrolled in simulated visits, where there are enough such people: two or three for the visit, the
others for the references. With fewer, visits are less varied and references more alike than at a door."""

_ENOUGH = 3
"""People with so many photographs, in galleries' sizes."""


LOOKALIKE_DETECTIONS = 2
"""So many references more have to be detected of people who have a look-alike in the gallery."""


@dataclass(frozen=True)
class Setting:
    """One way to run the door, and what it did on the calibration half."""

    detection_threshold: float
    references: int
    frames: int
    verification_threshold: float
    far_per_attempt: float
    frr_per_attempt: float
    lookalike_verification_threshold: float = 0.0
    """Of people with a look-alike in the gallery, where it is higher."""


def try_settings(visits: Visits, detection: float, frames: Sequence[int]) -> list[Setting]:
    """Every verification threshold and each number of `frames`; `visits` counted at `detection`."""
    tried = []
    for required in frames:
        for detections in range(1, visits.references + 1):
            share = detections / visits.references
            outcome, _ = granted(visits, door_rules(share, required))
            far, frr = attempt_errors(visits, outcome)
            tried.append(
                Setting(
                    detection_threshold=detection,
                    references=visits.references,
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


def with_lookalike_share(setting: Setting) -> Setting:
    """The setting, with two references more that must be detected where two people in the gallery look alike."""
    share = min(1.0, setting.verification_threshold + LOOKALIKE_DETECTIONS / setting.references)
    return replace(setting, lookalike_verification_threshold=share)


def attempt_errors(visits: Visits, outcome: Ints) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Per stranger the share of visits granted, per enrolled person the share not granted as that person.

    The worse of still and varied visits counts for strangers, the mean of both for the enrolled.
    """
    stranger = visits.own < 0
    return false_grants(visits, outcome, stranger), false_refusals(visits, outcome, ~stranger)


def false_grants(visits: Visits, outcome: Ints, strangers: Bools) -> npt.NDArray[np.float64]:
    """Per stranger (of `strangers`, (A,)) the share of visits granted, still or varied ones: whichever is worse."""
    by_kind = [
        per_person(visits.visitor[strangers & kind], outcome[strangers & kind] >= 0)
        for kind in (visits.still, ~visits.still)
    ]
    return max(by_kind, key=lambda rates: float(rates.mean()))


def false_refusals(visits: Visits, outcome: Ints, visitors: Bools) -> npt.NDArray[np.float64]:
    """Per enrolled person (of `visitors`, (A,)) the share of visits not granted as that person."""
    return per_person(visits.visitor[visitors], (outcome != visits.own)[visitors])


def door_rules(share: float, required: int, lookalike_share: float = 0.0, *, together: bool = True) -> Rules:
    """The daemon's own rules, when this share of references and so many frames decide."""
    door = Config()
    return Rules(
        verification=share,
        required=required,
        refusal_frames=door.session.refusal_frames,
        ambiguity_margin=door.model.ambiguity_margin,
        lookalike_verification=lookalike_share,
        together=together,
    )


def rules_of(setting: Setting) -> Rules:
    """The door's rules by a setting."""
    return door_rules(
        setting.verification_threshold, setting.frames, setting.lookalike_verification_threshold
    )


def visits_for(
    street: Street, similarities: Similarities, references: int, photographs: int, targets: Targets
) -> list[Visits]:
    """Seeded visits to the door that `targets` are asked for, with so many references of each person."""
    return sample_visits(
        street,
        similarities,
        anybody(street, targets.enrolled, photographs),
        references=references,
        households=targets.households,
        seed=targets.seed,
    )


def photographs_needed(counts: Sequence[Ints], enrolled: int) -> int:
    """From how many photographs on people are enrolled, given how many each person of each half has: PHOTOGRAPHS, or
    the most that leaves several galleries' worth of people in each half, at least 2.
    """
    for photographs in range(PHOTOGRAPHS, 2, -1):
        if all((half >= photographs).sum() >= _ENOUGH * enrolled for half in counts):
            return photographs
    return 2


def per_person(people: Ints, wrong: Bools) -> npt.NDArray[np.float64]:
    """For each of the `people` (A,), by number, the share of their visits that went wrong (A,)."""
    _, place = np.unique(people, return_inverse=True)
    place = place.reshape(-1)
    return np.asarray(np.bincount(place, wrong) / np.bincount(place), np.float64)
