"""Error rates as the manifest keeps them: with their intervals and with what they rest on."""

from __future__ import annotations

import numpy as np

from facelatch.vision.manifest import Rate
from facelatch_training.judge import intervals
from facelatch_training.judge.attempts import FrameSet
from facelatch_training.judge.metrics import Comparisons, Ranked
from facelatch_training.judge.settings import Setting, attempt_errors, false_grants, play, visits_for
from facelatch_training.recipe import Targets

RELATIVES = "far_per_attempt_relatives"
"""The rate of those false grants that no threshold for strangers prevents: a brother, a daughter of somebody enrolled.
They are among the visitors of `far_per_attempt`, too, as often as the sample has them.
"""


def contradicted(rates: dict[str, Rate], targets: Targets) -> list[str]:
    """Targets that half B misses by more than chance explains, in words."""
    return [
        f"{name} is {rates[name].value:.3g} on half B, {target:g} was asked for"
        for name, target in (("fmr", targets.fmr), ("far_per_attempt", targets.far_per_attempt))
        if (rates[name].low or 0.0) > target
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


def attempt_rates(frames: FrameSet, setting: Setting, targets: Targets, data: str) -> dict[str, Rate]:
    """False grants and false refusals of whole visits; those of relatives apart, where families are known."""
    visits = visits_for(frames, setting.references, targets)
    outcome = play(visits, setting.verification_threshold, setting.frames)
    far, frr = attempt_errors(visits, outcome)
    words = (
        f"{data}: {targets.enrolled} enrolled with {setting.references} references, "
        f"{setting.frames} consecutive frames"
    )
    rng = np.random.default_rng(targets.seed)
    rows = [
        ("far_per_attempt", far, int((visits.own < 0).sum()) // 2),
        ("frr_per_attempt", frr, int((visits.own >= 0).sum())),
    ]
    if visits.related.any():
        far = false_grants(visits, outcome, visits.related)
        rows.append((RELATIVES, far, int(visits.related.sum()) // 2))
    rates = {}
    for name, per_person, visited in rows:
        means = [float(rng.choice(per_person, len(per_person)).mean()) for _ in range(500)]
        low, high = np.percentile(means, [2.5, 97.5])
        rates[name] = Rate(
            value=float(per_person.mean()),
            low=float(low),
            high=float(high) if per_person.any() else intervals.none_seen(len(per_person)),
            identities=len(per_person),
            comparisons=visited,
            data=words + (", only visits of relatives of the enrolled" if name == RELATIVES else ""),
        )
    return rates
