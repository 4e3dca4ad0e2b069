"""How far chance could have moved an error rate: bootstrap intervals.

They resample identities, not comparisons, because the comparisons of one person stand and fall together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facelatch_training.judge.metrics import Comparisons, Floats, Ranked, people_in, ranked

MIN_ERRORS = 10
"""Errors that must be expected at a rate before it is called measured."""

_EXACT_TAIL = 200_000
_SAMPLED_REST = 200_000


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


def interval_over_people(
    shares: Floats, *, seed: int, resamples: int = 500, share: float = 0.95
) -> tuple[float, float]:
    """Bootstrap interval of the mean of what was measured for each person (P,); it holds the mean in so large a `share`
    of samples.
    """
    rng = np.random.default_rng(seed)
    means = [float(rng.choice(shares, len(shares)).mean()) for _ in range(resamples)]
    low, high = np.quantile(means, [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)


def none_seen(people: int) -> float:
    """Upper end of the interval of a rate that nobody of so many showed (rule of three)."""
    return min(1.0, 3 / people)


def bootstrap(
    comparisons: Comparisons,
    figures: Mapping[str, Callable[[Ranked], float]],
    *,
    resamples: int = 500,
    seed: int = 0,
) -> dict[str, Interval]:
    """Every figure with a 95 % percentile interval over resampled identities.

    A person drawn m times weighs m in genuine comparisons; an impostor comparison weighs the product of its
    two people. Of very many impostors the 200,000 most similar stay as they are and the rest, where no small
    error rate is decided, is represented by a sample of as many, so that a resample costs milliseconds.
    """
    whole = ranked(comparisons)
    value = {name: figure(whole) for name, figure in figures.items()}
    del whole
    rng = np.random.default_rng(seed)
    genuine = np.flatnonzero(comparisons.genuine)
    impostor, stands_for = _thinned(comparisons, rng)
    people = people_in(comparisons)
    table = Ranked(comparisons.similarity[genuine], comparisons.similarity[impostor])
    own, left, right = comparisons.first[genuine], comparisons.first[impostor], comparisons.second[impostor]
    drawn: dict[str, list[float]] = {name: [] for name in figures}
    for _ in range(resamples):
        weight = _draw(people, rng)
        genuine_weight, impostor_weight = weight[own], weight[left] * weight[right] * stands_for
        totals = genuine_weight.sum(), impostor_weight.sum()
        if min(totals) <= 0:
            continue
        # As many of each class as there were: a product of weights is a little smaller on average.
        table.weigh(
            genuine_weight * (len(genuine) / totals[0]), impostor_weight * (stands_for.sum() / totals[1])
        )
        for name, figure in figures.items():
            drawn[name].append(figure(table))
    return {name: _interval(value[name], drawn[name]) for name in figures}


def mean_interval(
    comparisons: Comparisons, outcome: npt.NDArray[np.bool_], *, resamples: int = 500, seed: int = 0
) -> Interval:
    """The mean of a yes or no (P,) per comparison, each class keeping its share, and its interval."""
    rng = np.random.default_rng(seed)
    people = people_in(comparisons)
    drawn = []
    for _ in range(resamples):
        weight = _draw(people, rng)
        left, right = weight[comparisons.first], weight[comparisons.second]
        means, sizes = [], []
        for chosen, pair in ((comparisons.genuine, left), (~comparisons.genuine, left * right)):
            total = float(pair[chosen].sum())
            if total > 0:
                means.append(float(np.sum(pair[chosen] * outcome[chosen])) / total)
                sizes.append(int(chosen.sum()))
        if means:
            drawn.append(float(np.average(means, weights=sizes)))
    return _interval(float(np.mean(outcome)), drawn)


def _draw(people: npt.NDArray[np.int64], rng: np.random.Generator) -> Floats:
    """How often each identity number is drawn when as many people are drawn with replacement."""
    chosen = people[rng.integers(0, len(people), len(people))]
    return np.bincount(chosen, minlength=int(people[-1]) + 1).astype(np.float64)


def _thinned(comparisons: Comparisons, rng: np.random.Generator) -> tuple[npt.NDArray[np.int64], Floats]:
    impostor = np.flatnonzero(~comparisons.genuine)
    if len(impostor) <= _EXACT_TAIL + _SAMPLED_REST:
        return impostor, np.ones(len(impostor))
    cut = len(impostor) - _EXACT_TAIL
    parts = np.argpartition(comparisons.similarity[impostor], cut)
    rest = rng.choice(parts[:cut], _SAMPLED_REST, replace=False)
    stands_for = np.concatenate([np.full(_SAMPLED_REST, cut / _SAMPLED_REST), np.ones(_EXACT_TAIL)])
    return impostor[np.concatenate([rest, parts[cut:]])], stands_for


def _interval(value: float, drawn: list[float]) -> Interval:
    if not drawn:
        return Interval(value, value, value)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Interval(value, float(low), float(high))
