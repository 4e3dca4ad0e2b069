"""Error rates of a verifier, in plain NumPy.

Two pictures are *accepted* when their similarity reaches the threshold. A picture without a usable face
takes part with the similarity `FAILED`, which no threshold accepts: a genuine comparison then counts as
refused, and so does an impostor's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

Similarities = npt.NDArray[np.float32]

FAILED = -1.0
"""Similarity of a comparison in which one of the pictures gave no crop."""


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
        return len(people_in(self))

    @property
    def folds(self) -> int:
        """How many folds the comparisons are in; 0 for none."""
        return 0 if self.fold is None else len(np.unique(self.fold))

    def where(self, chosen: npt.NDArray[np.bool_]) -> Comparisons:
        """Only the comparisons for which `chosen` (P,) holds."""
        fold = None if self.fold is None else self.fold[chosen]
        return Comparisons(
            similarity=self.similarity[chosen],
            genuine=self.genuine[chosen],
            first=self.first[chosen],
            second=self.second[chosen],
            fold=fold,
        )


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


@dataclass(frozen=True, eq=False)
class Reliability:
    """Bins of similarity: what the model says, and how often it is so when both classes are as common."""

    predicted: Floats
    observed: Floats
    weight: Floats
    """Share of all comparisons (balanced) in the bin."""

    @property
    def error(self) -> float:
        """Expected calibration error: the mean gap, weighted by the bins."""
        return float(np.sum(self.weight * np.abs(self.predicted - self.observed)))


def reliability(comparisons: Comparisons, bins: int = 15) -> Reliability:
    """The reliability diagram of the similarities as probabilities; failed comparisons are left out."""
    valid = comparisons.similarity >= 0
    similarity, genuine = comparisons.similarity[valid].astype(np.float64), comparisons.genuine[valid]
    weight = np.where(genuine, 0.5 / max(1, genuine.sum()), 0.5 / max(1, (~genuine).sum()))
    number = np.minimum((similarity * bins).astype(np.int64), bins - 1)
    total = np.bincount(number, weight, bins)
    filled = total > 0
    predicted = np.bincount(number, weight * similarity, bins)[filled] / total[filled]
    observed = np.bincount(number, weight * genuine, bins)[filled] / total[filled]
    return Reliability(predicted, observed, np.asarray(total[filled], np.float64))


def people_in(comparisons: Comparisons) -> npt.NDArray[np.int64]:
    """The identity numbers that take part, rising."""
    takes_part = np.zeros(1 + int(max(comparisons.first.max(), comparisons.second.max())), dtype=bool)
    takes_part[comparisons.first] = True
    takes_part[comparisons.second] = True
    return np.flatnonzero(takes_part)
