"""Error rates as the manifest keeps them: with their intervals and with what they rest on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from facelatch.config.file import Config
from facelatch.vision.manifest import Rate
from facelatch_training.judge import intervals
from facelatch_training.judge.attempts import Visits, granted
from facelatch_training.judge.frames import Ints
from facelatch_training.judge.metrics import Comparisons, Ranked
from facelatch_training.judge.settings import (
    Sample,
    Setting,
    enrolled_visits,
    false_grants,
    false_refusals,
    rules_of,
)
from facelatch_training.recipe import Targets

RELATIVES = "far_per_attempt_relatives"
"""The rate of those false grants that no threshold for strangers prevents: a brother, a daughter of somebody enrolled.
They are among the visitors of `far_per_attempt`, too, as often as the sample has them.
"""

WORST_SLICE = "fmr_worst_slice"
"""The FMR of the slice with most false matches, measured by `facelatch-train hard`."""


STILL, VARIED = "frr_per_attempt_still", "frr_per_attempt_varied"
"""Of visits in one photograph, and of visits in several."""

SECONDS = "seconds_to_grant"
"""The median time from the first usable frame to a grant: no share, but measured as the rates are."""

_RESAMPLES = 500


def in_words(name: str, value: float | None) -> str:
    """A figure of the manifest with its unit; nothing for None."""
    if value is None:
        return ""
    return f"{value:.3f} s" if name == SECONDS else f"{value:.4%}"


def contradicted(rates: dict[str, Rate], targets: Targets) -> list[str]:
    """Targets that half B misses by more than chance explains, in words."""
    asked = {
        "fmr": targets.fmr,
        "far_per_attempt": targets.far_per_attempt,
        STILL: targets.frr_still,
        VARIED: targets.frr_varied,
        SECONDS: targets.seconds_to_grant,
    }
    return [
        f"{name} is {rates[name].value:.3g} on half B, {target:g} was asked for"
        for name, target in asked.items()
        if target is not None and (rates[name].low or 0.0) > target
    ]


def comparison_rates(comparisons: Comparisons, threshold: float, data: str, seed: int) -> dict[str, Rate]:
    """FMR, FNMR, AUC and EER of single comparisons at the detection threshold."""
    figures = intervals.bootstrap(
        comparisons,
        {
            "fmr": lambda curve: curve.fmr(threshold),
            "fnmr": lambda curve: curve.fnmr(threshold),
            "auc": Ranked.auc,
            "eer": Ranked.eer,
        },
        seed=seed,
    )
    counts = {"fmr": int((~comparisons.genuine).sum()), "fnmr": int(comparisons.genuine.sum())}
    return {
        name: Rate(
            value=figure.value,
            low=figure.low,
            high=figure.high if figure.value else intervals.none_seen(comparisons.identities),
            identities=comparisons.identities,
            comparisons=counts.get(name, len(comparisons)),
            data=data,
        )
        for name, figure in figures.items()
    }


def attempt_rates(
    sample: Sample, setting: Setting, targets: Targets, photographs: int, data: str
) -> dict[str, Rate]:
    """False grants and false refusals of whole visits, and how long a grant takes; `data` are the pictures in words.

    False grants of relatives have a rate of their own where families are known.
    """
    visits, rules = sample.everybody, rules_of(setting)
    outcome, _ = granted(visits, rules)
    strangers = visits.own < 0
    words = (
        f"{data}: {targets.enrolled} enrolled who have {photographs} photographs or more, {setting.references} "
        f"references, {setting.frames} frames of a track"
    )
    rows = {
        "far_per_attempt": (false_grants(visits, outcome, strangers), int(strangers.sum()) // 2, ""),
    }
    own, (decided, when) = sample.enrolled, granted(sample.enrolled, rules)
    for name, kind, about in (
        ("frr_per_attempt", np.ones_like(own.still), ""),
        (STILL, own.still, ", only still visits"),
        (VARIED, ~own.still, ", only varied visits"),
    ):
        count = int((enrolled_visits(own) & kind).sum())
        rows[name] = (false_refusals(own, decided, kind), count, about)
    if visits.related.any():
        about = ", only visits of relatives of the enrolled"
        rows[RELATIVES] = (false_grants(visits, outcome, visits.related), int(visits.related.sum()) // 2, about)
    rates = {
        name: _rate(errors, count, words + about, targets.seed) for name, (errors, count, about) in rows.items()
    }
    return {**rates, SECONDS: _seconds(own, decided, when, words, targets.seed)}


def _rate(errors: npt.NDArray[np.float64], count: int, data: str, seed: int) -> Rate:
    """The mean of the `errors` (P,) of people, and how far chance could have moved it."""
    low, high = intervals.interval_over_people(errors, seed=seed)
    return Rate(
        value=float(errors.mean()),
        low=low,
        high=high if errors.any() else intervals.none_seen(len(errors)),
        identities=len(errors),
        comparisons=count,
        data=data,
    )


def _seconds(visits: Visits, outcome: Ints, when: Ints, data: str, seed: int) -> Rate:
    """The median time from the first usable frame of a visit to its grant."""
    rng, rate = np.random.default_rng(seed), Config().camera.rate_fps
    right = (visits.own >= 0) & (outcome == visits.own)
    taken = (when - visits.usable.argmax(axis=1))[right] / rate
    people, place = np.unique(visits.visitor[right], return_inverse=True)
    found = [taken[place == one] for one in range(len(people))]
    if not found:
        return Rate(value=0.0, identities=0, comparisons=0, data=f"{data}: no grant at all")
    drawn = (rng.integers(0, len(found), len(found)) for _ in range(_RESAMPLES))
    medians = [float(np.median(np.concatenate([found[one] for one in some]))) for some in drawn]
    low, high = np.percentile(medians, [2.5, 97.5])
    return Rate(
        value=float(np.median(taken)),
        low=float(low),
        high=float(high),
        identities=len(people),
        comparisons=len(taken),
        data=f"{data}, at {rate:g} frames a second",
    )
