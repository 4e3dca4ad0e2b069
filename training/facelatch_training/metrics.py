"""Error rates of a verifier, in plain NumPy: what the curve says, and how far identities could have moved it.

Two pictures are *accepted* when their similarity reaches the threshold. A picture without a usable face
takes part with the similarity `FAILED`, which no threshold accepts: a genuine comparison then counts as
refused, and so does an impostor's. Intervals resample identities, not comparisons, because the comparisons
of one person stand and fall together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Similarities = npt.NDArray[np.float32]

FAILED = -1.0
"""Similarity of a comparison in which one of the pictures gave no crop."""

_EXACT_TAIL = 200_000
_SAMPLED_REST = 200_000


@dataclass(frozen=True, eq=False)
class Comparisons:
    """P comparisons of a data set: similarity, whether both pictures show one person, and who they show."""

    similarity: Similarities = field(repr=False)
    """(P,), 0 to 1 or FAILED."""
    genuine: npt.NDArray[np.bool_] = field(repr=False)
    """(P,)."""
    first: npt.NDArray[np.int32] = field(repr=False)
    """(P,) identity number of one side."""
    second: npt.NDArray[np.int32] = field(repr=False)
    """(P,) identity number of the other side."""
    fold: npt.NDArray[np.int16] | None = field(default=None, repr=False)
    """(P,) the fold of a protocol that has folds."""

    def __len__(self) -> int:
        return len(self.similarity)

    @property
    def identities(self) -> int:
        """How many people take part."""
        return len(_people(self))

    def where(self, chosen: npt.NDArray[np.bool_]) -> Comparisons:
        """Only the comparisons for which `chosen` (P,) holds."""
        fold = None if self.fold is None else self.fold[chosen]
        return Comparisons(
            self.similarity[chosen], self.genuine[chosen], self.first[chosen], self.second[chosen], fold
        )


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


class Ranked:
    """Both classes sorted once, so that every figure, also under other weights, is a look-up."""

    def __init__(self, genuine: Similarities, impostor: Similarities) -> None:
        if not len(genuine) or not len(impostor):
            raise ValueError("error rates need genuine and impostor comparisons")
        self.genuine_order = np.argsort(genuine, kind="stable")
        self.impostor_order = np.argsort(impostor, kind="stable")
        self.genuine = genuine[self.genuine_order]
        self.impostor = impostor[self.impostor_order]
        self._below = np.searchsorted(self.impostor, self.genuine, side="left")
        self._upto = np.searchsorted(self.impostor, self.genuine, side="right")
        self.weigh(np.ones(len(genuine)), np.ones(len(impostor)))

    def weigh(self, genuine: Floats, impostor: Floats) -> None:
        """Sets the weight of every comparison, given in the order of the constructor's arguments."""
        self._genuine_weight = genuine[self.genuine_order]
        self._genuine_sum = np.concatenate([[0.0], np.cumsum(self._genuine_weight)])
        self._impostor_sum = np.concatenate([[0.0], np.cumsum(impostor[self.impostor_order])])

    def fnmr(self, threshold: float) -> float:
        """Share of genuine comparisons below the threshold."""
        place = np.searchsorted(self.genuine, np.float32(threshold), side="left")
        return float(self._genuine_sum[place] / self._genuine_sum[-1])

    def fmr(self, threshold: float) -> float:
        """Share of impostor comparisons at or above the threshold."""
        place = np.searchsorted(self.impostor, np.float32(threshold), side="left")
        return float(1 - self._impostor_sum[place] / self._impostor_sum[-1])

    def threshold_at(self, fmr: float) -> float:
        """The lowest float32 threshold whose FMR does not exceed `fmr`."""
        allowed = self._impostor_sum[-1] * (1 - fmr)
        # The first impostor that may be accepted; whoever ties with the one before it is refused with it.
        place = int(np.searchsorted(self._impostor_sum, allowed * (1 - 1e-12), side="left"))
        if place == 0:
            return 0.0
        return max(0.0, float(np.nextafter(self.impostor[place - 1], np.float32(2), dtype=np.float32)))

    def tar_at(self, far: float) -> float:
        """Share of genuine comparisons accepted where at most `far` of the impostors are."""
        return 1 - self.fnmr(self.threshold_at(far))

    def auc(self) -> float:
        """Area under the ROC: the chance that a genuine comparison ranks over an impostor's, ties half."""
        beaten = (self._impostor_sum[self._below] + self._impostor_sum[self._upto]) / 2
        total = self._genuine_sum[-1] * self._impostor_sum[-1]
        return float(np.sum(self._genuine_weight * beaten) / total)

    def eer(self) -> float:
        """The rate at which FMR and FNMR meet, interpolated between neighbouring thresholds."""
        # The curve turns twice at every genuine similarity: once just at it, once just above it.
        missed = self._genuine_sum / self._genuine_sum[-1]
        at, above = (
            1 - self._impostor_sum[place] / self._impostor_sum[-1] for place in (self._below, self._upto)
        )
        fnmr = np.append(np.column_stack([missed[:-1], missed[1:]]).ravel(), 1.0)
        fmr = np.append(np.column_stack([at, above]).ravel(), 0.0)
        place = int(np.argmax(fnmr >= fmr))
        if place == 0:
            return float(max(fnmr[0], fmr[0]))
        before, after = fmr[place - 1] - fnmr[place - 1], fnmr[place] - fmr[place]
        share = before / (before + after) if before + after > 0 else 0.0
        return float(fnmr[place - 1] + share * (fnmr[place] - fnmr[place - 1]))

    def precision(self, threshold: float) -> float:
        """Share of genuine comparisons among the accepted, at the proportion of genuine to impostor given."""
        accepted = (1 - self.fnmr(threshold)) * self._genuine_sum[-1]
        wrong = self.fmr(threshold) * self._impostor_sum[-1]
        return float(accepted / (accepted + wrong)) if accepted + wrong > 0 else 1.0

    def curve(self, points: int = 2000) -> tuple[Floats, Floats, Floats]:
        """ROC as (thresholds falling, FMR, TMR), thinned to about `points`, dense where FMR is small."""
        size = len(self.impostor)
        ranks = np.unique(np.geomspace(1, size, points).astype(np.int64))
        thresholds = np.unique(np.concatenate([[np.float32(1.0)], self.impostor[size - ranks]]))[::-1]
        fmr = np.array([self.fmr(float(value)) for value in thresholds])
        tmr = np.array([1 - self.fnmr(float(value)) for value in thresholds])
        return thresholds.astype(np.float64), fmr, tmr


MIN_ERRORS = 10
"""Errors that must be expected at a rate before it is called measured."""


def none_seen(people: int) -> float:
    """Upper end of the interval of a rate that nobody of so many showed (rule of three)."""
    return min(1.0, 3 / people)


def ranked(comparisons: Comparisons) -> Ranked:
    """`Ranked` of a set of comparisons. Raises ValueError when one class is missing."""
    return Ranked(comparisons.similarity[comparisons.genuine], comparisons.similarity[~comparisons.genuine])


def best_threshold(similarity: Similarities, genuine: npt.NDArray[np.bool_]) -> float:
    """The threshold with the best accuracy, half-way between two neighbouring similarities."""
    order = np.argsort(-similarity, kind="stable")
    values, right = similarity[order], genuine[order]
    gain = np.concatenate([[0], np.cumsum(np.where(right, 1, -1))])
    # Only between different values can a threshold stand.
    edges = np.concatenate([[True], values[1:] != values[:-1], [True]])
    place = int(np.flatnonzero(edges)[np.argmax(gain[edges])])
    if place == 0:
        return float(np.nextafter(values[0], np.float32(2)))
    lower = float(values[place]) if place < len(values) else 0.0
    return max(0.0, (float(values[place - 1]) + lower) / 2)


def fold_correct(comparisons: Comparisons) -> npt.NDArray[np.bool_]:
    """(P,) whether each comparison is decided rightly by the threshold chosen on all other folds.

    Without a face nothing was decided: to call that right would reward a finder that fails on impostors.
    """
    if comparisons.fold is None:
        raise ValueError("this protocol has no folds")
    correct = np.zeros(len(comparisons), dtype=bool)
    for fold in np.unique(comparisons.fold):
        inside = comparisons.fold == fold
        threshold = best_threshold(comparisons.similarity[~inside], comparisons.genuine[~inside])
        decided = comparisons.similarity[inside] > FAILED
        accepted = comparisons.similarity[inside] >= threshold
        correct[inside] = decided & (accepted == comparisons.genuine[inside])
    return correct


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
    people = _people(comparisons)
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
    people = _people(comparisons)
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


@dataclass(frozen=True, eq=False)
class Reliability:
    """Bins of similarity: what the model says, and how often it is so when both classes are as common."""

    said: Floats
    seen: Floats
    weight: Floats
    """Share of all comparisons (balanced) in the bin."""

    @property
    def error(self) -> float:
        """Expected calibration error: the mean gap, weighted by the bins."""
        return float(np.sum(self.weight * np.abs(self.said - self.seen)))


def reliability(comparisons: Comparisons, bins: int = 15) -> Reliability:
    """The reliability diagram of the similarities as probabilities; failed comparisons are left out."""
    valid = comparisons.similarity >= 0
    similarity, genuine = comparisons.similarity[valid].astype(np.float64), comparisons.genuine[valid]
    weight = np.where(genuine, 0.5 / max(1, genuine.sum()), 0.5 / max(1, (~genuine).sum()))
    number = np.minimum((similarity * bins).astype(np.int64), bins - 1)
    total = np.bincount(number, weight, bins)
    filled = total > 0
    said = np.bincount(number, weight * similarity, bins)[filled] / total[filled]
    seen = np.bincount(number, weight * genuine, bins)[filled] / total[filled]
    return Reliability(said, seen, np.asarray(total[filled], np.float64))


def _people(comparisons: Comparisons) -> npt.NDArray[np.int64]:
    """The identity numbers that take part, rising."""
    seen = np.zeros(1 + int(max(comparisons.first.max(), comparisons.second.max())), dtype=bool)
    seen[comparisons.first] = True
    seen[comparisons.second] = True
    return np.flatnonzero(seen)


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
