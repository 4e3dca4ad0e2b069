"""Judges a verifier: all figures of a protocol's comparisons, and what they rest on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from facelatch.errors import InputError
from facelatch.ports import Verifier
from facelatch_training.judge import intervals, metrics
from facelatch_training.judge.comparisons import compare_all, compare_pairs, refuse_too_many
from facelatch_training.judge.intervals import Interval
from facelatch_training.judge.metrics import Comparisons, Ranked, reliability
from facelatch_training.judge.protocols import PairList, Protocol, balanced_folds
from facelatch_training.judge.verifiers import Embedded, embed_protocol

FALSE_RATES = (1e-2, 1e-3, 1e-4)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What one verifier did on one protocol."""

    protocol: str
    model_sha256: str
    figures: dict[str, Interval]
    """`accuracy`, `precision`, `recall`, `auc`, `eer`, `tar@far=...`, `fnmr@fmr=...`, `fmr`, `fnmr`."""
    threshold: float | None
    """The similarity at which precision, recall, fmr and fnmr were taken; None: they were not."""
    threshold_origin: str
    pictures: int
    failed: tuple[str, ...] = field(repr=False)
    """Pictures in which no face was found; all their comparisons count as refused."""
    identities: int
    genuine: int
    impostors: int
    folds: int
    fold_pairs: int
    comparisons: Comparisons = field(repr=False)

    @property
    def unmeasurable_rates(self) -> list[float]:
        """False accept rates too small to be told from so few impostors."""
        return [rate for rate in FALSE_RATES if rate * self.impostors < intervals.MIN_ERRORS]

    def as_json(self) -> dict[str, Any]:
        """All figures with what they rest on, for programs."""
        return {
            "protocol": self.protocol,
            "model_sha256": self.model_sha256,
            "pictures": self.pictures,
            "pictures_without_face": len(self.failed),
            "failed": list(self.failed),
            "identities": self.identities,
            "genuine_comparisons": self.genuine,
            "impostor_comparisons": self.impostors,
            "folds": self.folds,
            "fold_pairs": self.fold_pairs,
            "threshold": self.threshold,
            "threshold_origin": self.threshold_origin,
            "untold_rates": self.unmeasurable_rates,
            "reliability_gap": reliability(self.comparisons).error,
            "figures": {
                name: {"value": figure.value, "low": figure.low, "high": figure.high}
                for name, figure in self.figures.items()
            },
        }


def evaluate(
    verifier: Verifier,
    protocol: Protocol,
    *,
    threshold: float | None = None,
    threshold_origin: str = "given",
    resamples: int = 500,
    quiet: bool = False,
) -> Evaluation:
    """Judges `verifier` on `protocol`; without a `threshold` there are no precision, recall, FMR and FNMR.

    Every comparison is that of a door: the first picture is a probe, the second a reference as the gallery keeps it.

    Protocols without pairs of their own get every comparison for the curve, and balanced pairs in ten
    folds for the accuracy where there are people enough. Raises InputError when one class is missing.
    """
    if protocol.pairs is None:
        refuse_too_many(protocol)
    embedded, present = embed_protocol(verifier, protocol, quiet=quiet)
    comparisons, in_folds = _compare(verifier, protocol, embedded, present)
    return Evaluation(
        protocol=protocol.name,
        model_sha256=verifier.model_sha256,
        figures=_figures(comparisons, in_folds, threshold, resamples),
        threshold=threshold,
        threshold_origin=threshold_origin,
        pictures=len(protocol.pictures),
        failed=tuple(name for name, there in zip(protocol.pictures, present, strict=True) if not there),
        identities=comparisons.identities,
        genuine=int(comparisons.genuine.sum()),
        impostors=int((~comparisons.genuine).sum()),
        folds=0 if in_folds is None else in_folds.folds,
        fold_pairs=0 if in_folds is None else len(in_folds),
        comparisons=comparisons,
    )


def _compare(
    verifier: Verifier, protocol: Protocol, embedded: Embedded, present: npt.NDArray[np.bool_]
) -> tuple[Comparisons, Comparisons | None]:
    """The comparisons for the curve, and those in folds for the accuracy; None where there are no folds.

    Raises InputError when the first are all genuine or all of impostors.
    """
    numbers = protocol.numbers
    if protocol.pairs is None:
        comparisons = compare_all(verifier, embedded, present, numbers)
    else:
        comparisons = compare_pairs(verifier, embedded, present, numbers, protocol.pairs)
    if comparisons.genuine.all() or not comparisons.genuine.any():
        kind = "impostor" if comparisons.genuine.all() else "genuine"
        raise InputError(
            f"{protocol.name}: no {kind} comparison in it", hint="two pictures of two people at least"
        )
    if protocol.pairs is not None:
        return comparisons, None if comparisons.fold is None else comparisons
    folds = _own_folds(protocol)
    in_folds = None if folds is None else compare_pairs(verifier, embedded, present, numbers, folds)
    return comparisons, in_folds


def _figures(
    comparisons: Comparisons, in_folds: Comparisons | None, threshold: float | None, resamples: int
) -> dict[str, Interval]:
    """Every figure with its interval; the accuracy only where there are folds."""
    figures = intervals.bootstrap(comparisons, _curve_figures(threshold), resamples=resamples)
    for rate in ("fmr", "fnmr"):
        if rate in figures and not figures[rate].value:
            figures[rate] = Interval(0.0, 0.0, intervals.none_seen(comparisons.identities))
    if in_folds is None:
        return figures
    accuracy = intervals.mean_interval(in_folds, metrics.fold_correct(in_folds), resamples=resamples)
    return {"accuracy": accuracy, **figures}


def hardest(
    evaluation: Evaluation, protocol: Protocol, count: int = 12
) -> dict[str, list[tuple[int, int, float]]]:
    """`impostor`: the most similar strangers; `genuine`: the least similar pictures of one person.

    Each as (picture, picture, similarity), at most one pair of the same two people.
    """
    comparisons = evaluation.comparisons
    if protocol.pairs is None:
        left, right = np.triu_indices(len(protocol.pictures), 1)
    else:
        left, right = protocol.pairs.first, protocol.pairs.second
    worst: dict[str, list[tuple[int, int, float]]] = {}
    for kind, of_kind, sign in (("impostor", ~comparisons.genuine, -1), ("genuine", comparisons.genuine, 1)):
        rows = np.flatnonzero(of_kind & (comparisons.similarity >= 0))
        few = rows[np.argsort(sign * comparisons.similarity[rows], kind="stable")[: 50 * count]]
        worst[kind] = []
        seen: set[tuple[int, int]] = set()
        for row in few:
            who = (int(comparisons.first[row]), int(comparisons.second[row]))
            if who not in seen and len(worst[kind]) < count:
                seen.add(who)
                worst[kind].append((int(left[row]), int(right[row]), float(comparisons.similarity[row])))
    return worst


def _curve_figures(threshold: float | None) -> dict[str, Callable[[Ranked], float]]:
    figures: dict[str, Callable[[Ranked], float]] = {}
    if threshold is not None:
        figures["precision"] = lambda curve: curve.precision(threshold)
        figures["recall"] = lambda curve: 1 - curve.fnmr(threshold)
    figures |= {"auc": Ranked.auc, "eer": Ranked.eer}
    for rate in FALSE_RATES:
        figures[f"tar@far={rate:g}"] = lambda curve, rate=rate: curve.tar_at(rate)  # type: ignore[misc]
    figures["fnmr@fmr=0.0001"] = lambda curve: 1 - curve.tar_at(1e-4)
    if threshold is not None:
        figures["fmr"] = lambda curve: curve.fmr(threshold)
        figures["fnmr"] = lambda curve: curve.fnmr(threshold)
    return figures


def _own_folds(protocol: Protocol, folds: int = 10) -> PairList | None:
    if len(set(protocol.families)) < 3 * folds:
        return None
    return balanced_folds(protocol.identities, protocol.families, folds=folds)
