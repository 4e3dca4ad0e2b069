"""Ways to run the door, and what each of them does: tried in simulated visits, and chosen among."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

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
from facelatch_training.judge.intervals import interval_over_people
from facelatch_training.recipe import Targets

PHOTOGRAPHS = 5
"""Of a person who is enrolled in simulated visits, where there are enough such people: two or three for the visit, the
others for the references. With fewer, visits are less varied and references more alike than at a door."""

_MORE = 5
"""Galleries whose people visit, for each gallery that strangers visit."""

_ENOUGH = 3
"""People with so many photographs, in galleries' sizes."""


ALIKE = 0.002
"""False refusals that differ by less do so by chance: their intervals are several times as wide."""

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
    far_high: float = 0.0
    """What `far_per_attempt` is above with a chance of one in ten: the interval's upper end."""
    lookalike_verification_threshold: float = 0.0
    """Of people with a look-alike in the gallery, where it is higher."""


class Sample(NamedTuple):
    """Visits to the same door: `everybody` tells of strangers, of which there are enough in a few galleries; `enrolled`
    of the people of many galleries, who are few in each.
    """

    everybody: Visits
    enrolled: Visits


def try_settings(sample: Sample, detection: float, frames: Sequence[int]) -> list[Setting]:
    """Every verification threshold and each number of `frames`; `sample` counted at `detection`."""
    tried, visits = [], sample.everybody
    for required in frames:
        for detections in range(1, visits.references + 1):
            share = detections / visits.references
            rules = door_rules(share, required)
            far = false_grants(visits, granted(visits, rules)[0], visits.own < 0)
            frr = false_refusals(sample.enrolled, granted(sample.enrolled, rules)[0])
            tried.append(
                Setting(
                    detection_threshold=detection,
                    references=visits.references,
                    frames=required,
                    verification_threshold=share,
                    far_per_attempt=float(far.mean()),
                    frr_per_attempt=float(frr.mean()),
                    far_high=interval_over_people(far, seed=detections, share=0.8)[1],
                )
            )
    return tried


def choose(tried: Sequence[Setting], far: float) -> tuple[Setting, bool]:
    """The setting with the fewest false refusals that keeps `far`, or the safest when none does (False).

    It keeps `far` when `far_high` does: else of many settings the luckiest would be taken, and other people would be
    let in more often than was asked for.
    False refusals that differ by ALIKE or less are equal: then higher thresholds and fewer frames, safer and quicker.
    """
    safe = [setting for setting in tried if max(setting.far_per_attempt, setting.far_high) <= far]
    if not safe:
        safest = min(tried, key=lambda setting: (setting.far_per_attempt, setting.frr_per_attempt))
        return with_lookalike_share(safest), False
    fewest = min(setting.frr_per_attempt for setting in safe)
    best = min(
        (setting for setting in safe if setting.frr_per_attempt <= fewest + ALIKE),
        key=lambda s: (-s.verification_threshold, -s.detection_threshold, s.references + s.frames),
    )
    return with_lookalike_share(best), True


def with_lookalike_share(setting: Setting) -> Setting:
    """The setting, with two references more that must be detected where two people in the gallery look alike."""
    share = min(1.0, setting.verification_threshold + LOOKALIKE_DETECTIONS / setting.references)
    return replace(setting, lookalike_verification_threshold=share)


def enrolled_visits(visits: Visits) -> Bools:
    """(A,) the visits that false refusals are counted in."""
    enrolled = visits.own >= 0
    return enrolled & visits.full if (enrolled & visits.full).any() else enrolled


def false_grants(visits: Visits, outcome: Ints, strangers: Bools) -> npt.NDArray[np.float64]:
    """Per stranger (of `strangers`, (A,)) the share of visits granted, still or varied ones: whichever is worse."""
    by_kind = [
        per_person(visits.visitor[strangers & kind], outcome[strangers & kind] >= 0)
        for kind in (visits.still, ~visits.still)
    ]
    return max(by_kind, key=lambda rates: float(rates.mean()))


def false_refusals(
    visits: Visits, outcome: Ints, which: Bools | None = None
) -> npt.NDArray[np.float64]:
    """Per enrolled person the share of visits (of `which`, (A,)) not granted as that person.

    Where anybody has enough photographs for a varied visit, only they count.
    """
    visitors = enrolled_visits(visits) if which is None else which & enrolled_visits(visits)
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
    street: Street,
    similarities: Similarities,
    references: int,
    photographs: int,
    targets: Targets,
    *,
    halfway: bool = True,
) -> list[Sample]:
    """Seeded visits to the door that `targets` are asked for, with so many references of each person, once for each
    detection threshold; `halfway` as in `sample_visits`.
    """
    everybody, enrolled = (
        sample_visits(
            street,
            similarities,
            anybody(street, targets.enrolled, photographs),
            references=references,
            households=households,
            seed=targets.seed,
            halfway=halfway,
            strangers=strangers,
        )
        for households, strangers in ((targets.households, True), (_MORE * targets.households, False))
    )
    return [Sample(*both) for both in zip(everybody, enrolled, strict=True)]


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
