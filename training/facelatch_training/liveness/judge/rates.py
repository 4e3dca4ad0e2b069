"""Error rates of presentation attack detection, in the terms of ISO/IEC 30107-3.

APCER: share of attacks taken for living faces. BPCER: share of living faces taken for attacks. A score of at least the
threshold counts as alive.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facelatch_training.judge.intervals import none_seen

Floats = NDArray[np.float64]


def auc(live: Floats, attack: Floats) -> float:
    """Share of pairs in which the living face has the higher score, ties counted half."""
    order = np.sort(attack)
    below = np.searchsorted(order, live, "left") + np.searchsorted(order, live, "right")
    return float(below.mean() / (2 * len(attack)))


def threshold_at_bpcer(live: Floats, bpcer: float) -> float:
    """The highest threshold at which at most this share of living faces is refused."""
    return float(np.sort(live)[int(np.floor(bpcer * len(live)))])


def threshold_at_apcer(attack: Floats, apcer: float) -> float:
    """The lowest threshold that at most this share of attacks reaches."""
    passing = int(np.floor(apcer * len(attack)))
    return float(np.nextafter(np.sort(attack)[::-1][passing], np.inf))


def apcer(attack: Floats, threshold: float) -> float:
    """Share of attacks that pass."""
    return float(np.mean(attack >= threshold))


def bpcer(live: Floats, threshold: float) -> float:
    """Share of living faces that do not."""
    return float(np.mean(live < threshold))


def apcer_at_bpcer(live: Floats, attack: Floats, share: float) -> float:
    """APCER at the threshold that refuses at most `share` of the living."""
    return apcer(attack, threshold_at_bpcer(live, share))


def bpcer_at_apcer(live: Floats, attack: Floats, share: float) -> float:
    """BPCER at the threshold that at most `share` of the attacks passes."""
    return bpcer(live, threshold_at_apcer(attack, share))


def eer(live: Floats, attack: Floats) -> float:
    """The error at which APCER and BPCER are nearest to each other, their mean."""
    candidates = np.unique(np.concatenate([live, attack]))
    refused = np.searchsorted(np.sort(live), candidates, "left") / len(live)
    passed = 1 - np.searchsorted(np.sort(attack), candidates, "left") / len(attack)
    nearest = int(np.argmin(np.abs(refused - passed)))
    return float((refused[nearest] + passed[nearest]) / 2)


def interval(
    live: Floats,
    attack: Floats,
    people: tuple[NDArray[np.str_], NDArray[np.str_]],
    share: float,
    draws: int = 300,
) -> tuple[float, float]:
    """95 % interval of APCER at this BPCER, people drawn anew; the rule of three where no attack passes at all."""
    rng, rates = np.random.default_rng(0), []
    rows = [{name: np.flatnonzero(names == name) for name in np.unique(names)} for names in people]
    for _ in range(draws):
        drawn = [np.concatenate([one[name] for name in rng.choice(list(one), len(one))]) for one in rows]
        rates.append(apcer_at_bpcer(live[drawn[0]], attack[drawn[1]], share))
    low, high = np.percentile(rates, [2.5, 97.5])
    if high == 0:
        high = none_seen(len(rows[1]))
    return float(low), float(high)
