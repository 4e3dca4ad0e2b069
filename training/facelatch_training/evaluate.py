"""Judge a verifier: the comparisons of a protocol through the model's own `compare`, and their curve."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from facelatch.errors import InputError
from facelatch.ports import Verifier
from facelatch_training import metrics
from facelatch_training.metrics import FAILED, Comparisons, Interval, Ranked, reliability
from facelatch_training.protocols import PairList, Protocol, balanced_folds
from facelatch_training.verifiers import Embedded, embed_protocol

FALSE_RATES = (1e-2, 1e-3, 1e-4)
_COMPARISON_BYTES = 13


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
    def untold_rates(self) -> list[float]:
        """False accept rates too small to be told from so few impostors."""
        return [rate for rate in FALSE_RATES if rate * self.impostors < metrics.MIN_ERRORS]

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
            "untold_rates": self.untold_rates,
            "reliability_gap": reliability(self.comparisons).error,
            "figures": {
                name: {"value": found.value, "low": found.low, "high": found.high}
                for name, found in self.figures.items()
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
        _refuse_too_many(protocol)
    embedded, present = embed_protocol(verifier, protocol, quiet=quiet)
    numbers = protocol.numbers
    if protocol.pairs is None:
        comparisons = compare_all(verifier, embedded, present, numbers)
        folds = _own_folds(protocol)
    else:
        comparisons = compare_pairs(verifier, embedded, present, numbers, protocol.pairs)
        folds = protocol.pairs if protocol.pairs.fold is not None else None
    if comparisons.genuine.all() or not comparisons.genuine.any():
        kind = "impostor" if comparisons.genuine.all() else "genuine"
        raise InputError(
            f"{protocol.name}: no {kind} comparison in it", hint="two pictures of two people at least"
        )
    figures = metrics.bootstrap(comparisons, _figures(threshold), resamples=resamples)
    for rate in ("fmr", "fnmr"):
        if rate in figures and not figures[rate].value:
            figures[rate] = metrics.Interval(0.0, 0.0, metrics.none_seen(comparisons.identities))
    in_folds = 0
    if folds is not None:
        judged = (
            comparisons
            if folds is protocol.pairs
            else compare_pairs(verifier, embedded, present, numbers, folds)
        )
        in_folds = len(judged)
        right = metrics.fold_correct(judged)
        figures = {
            "accuracy": metrics.mean_interval(judged, right, resamples=resamples),
            **figures,
        }
    return Evaluation(
        protocol=protocol.name,
        model_sha256=verifier.model_sha256,
        figures=figures,
        threshold=threshold,
        threshold_origin=threshold_origin,
        pictures=len(protocol.pictures),
        failed=tuple(name for name, there in zip(protocol.pictures, present, strict=True) if not there),
        identities=comparisons.identities,
        genuine=int(comparisons.genuine.sum()),
        impostors=int((~comparisons.genuine).sum()),
        folds=0 if folds is None or folds.fold is None else len(np.unique(folds.fold)),
        fold_pairs=in_folds,
        comparisons=comparisons,
    )


def _refuse_too_many(protocol: Protocol) -> None:
    """Raises InputError where all comparisons of a protocol would not fit into memory."""
    count = len(protocol.pictures)
    needed = 3 * _COMPARISON_BYTES * count * (count - 1) // 2  # sorted and weighed they are there three times
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise InputError(
            f"{protocol.name}: all comparisons of {count:,} pictures need {needed / 1e9:,.0f} GB of memory, "
            f"{there / 1e9:,.0f} GB are there",
            hint="judge on fewer people, or on pairs (--pairs)",
        )


def compare_all(
    verifier: Verifier, embedded: Embedded, present: npt.NDArray[np.bool_], numbers: npt.NDArray[np.int32]
) -> Comparisons:
    """Every picture against every later one as reference: N (N - 1) / 2 comparisons."""
    total = len(present)
    size = total * (total - 1) // 2
    similarity, first, second = np.empty(size, np.float32), np.empty(size, np.int32), np.empty(size, np.int32)
    start = 0
    for row in range(total - 1):
        stop = start + total - 1 - row
        # Against the whole gallery, although half is known: a constant shape is faster than half the work.
        against = verifier.compare(embedded.probes[row], embedded.references)[row + 1 :]
        similarity[start:stop] = np.where(present[row + 1 :] & present[row], against, FAILED)
        first[start:stop], second[start:stop] = numbers[row], numbers[row + 1 :]
        start = stop
    return Comparisons(similarity, first == second, first, second)


def compare_pairs(
    verifier: Verifier,
    embedded: Embedded,
    present: npt.NDArray[np.bool_],
    numbers: npt.NDArray[np.int32],
    pairs: PairList,
) -> Comparisons:
    """The pairs of a list, grouped by their first picture."""
    similarity = np.full(len(pairs.first), FAILED, np.float32)
    usable = present[pairs.first] & present[pairs.second]
    order = np.argsort(pairs.first, kind="stable")
    order = order[usable[order]]
    starts = np.flatnonzero(np.diff(pairs.first[order], prepend=-1))
    for group in np.split(order, starts[1:]) if len(order) else []:
        similarity[group] = verifier.compare(
            embedded.probes[pairs.first[group[0]]], embedded.references[pairs.second[group]]
        )
    first, second = numbers[pairs.first], numbers[pairs.second]
    return Comparisons(similarity, first == second, first, second, pairs.fold)


def hardest(
    evaluation: Evaluation, protocol: Protocol, count: int = 12
) -> dict[str, list[tuple[int, int, float]]]:
    """`impostor`: the most similar strangers; `genuine`: the least similar pictures of one person.

    Each as (picture, picture, similarity), at most one pair of the same two people.
    """
    found = evaluation.comparisons
    if protocol.pairs is None:
        left, right = np.triu_indices(len(protocol.pictures), 1)
    else:
        left, right = protocol.pairs.first, protocol.pairs.second
    worst: dict[str, list[tuple[int, int, float]]] = {}
    for kind, wanted, sign in (("impostor", ~found.genuine, -1), ("genuine", found.genuine, 1)):
        rows = np.flatnonzero(wanted & (found.similarity >= 0))
        few = rows[np.argsort(sign * found.similarity[rows], kind="stable")[: 50 * count]]
        worst[kind] = []
        seen: set[tuple[int, int]] = set()
        for row in few:
            who = (int(found.first[row]), int(found.second[row]))
            if who not in seen and len(worst[kind]) < count:
                seen.add(who)
                worst[kind].append((int(left[row]), int(right[row]), float(found.similarity[row])))
    return worst


def table(evaluation: Evaluation) -> str:
    """The figures as lines of text."""
    found = evaluation
    lines = [
        f"data        {found.protocol}",
        f"model       sha256 {found.model_sha256[:16]}",
        f"pictures    {found.pictures} of {found.identities} identities; {len(found.failed)} without a found "
        "face (their comparisons count as refused, and as wrong in the accuracy)",
        f"comparisons {found.genuine} genuine, {found.impostors} impostor",
    ]
    if found.folds:
        lines.append(
            f"folds       {found.folds}, {found.fold_pairs} pairs; threshold chosen on the other folds"
        )
    if found.threshold is not None:
        lines.append(
            f"threshold   {found.threshold:.4f} ({found.threshold_origin}) for precision, recall, fmr, fnmr"
        )
    lines.append(f"{'figure':<16}{'value':>10}   95 % interval over identities")
    for name, value in found.figures.items():
        low, high = (f"{100 * side:.3f}" for side in (value.low, value.high))
        lines.append(f"{name:<16}{100 * value.value:>8.3f} %   {low} to {high}")
    for rate in found.untold_rates:
        lines.append(
            f"far = {rate:g} cannot be told from {found.impostors:,} impostor comparisons: "
            f"{math.ceil(metrics.MIN_ERRORS / rate):,} are needed"
        )
    return "\n".join(lines)


def _figures(threshold: float | None) -> dict[str, Callable[[Ranked], float]]:
    figures: dict[str, Callable[[Ranked], float]] = {}
    if threshold is not None:
        figures["precision"] = lambda found: found.precision(threshold)
        figures["recall"] = lambda found: 1 - found.fnmr(threshold)
    figures |= {"auc": Ranked.auc, "eer": Ranked.eer}
    for rate in FALSE_RATES:
        figures[f"tar@far={rate:g}"] = lambda found, rate=rate: found.tar_at(rate)  # type: ignore[misc]
    figures["fnmr@fmr=0.0001"] = lambda found: 1 - found.tar_at(1e-4)
    if threshold is not None:
        figures["fmr"] = lambda found: found.fmr(threshold)
        figures["fnmr"] = lambda found: found.fnmr(threshold)
    return figures


def _own_folds(protocol: Protocol, folds: int = 10) -> PairList | None:
    if len(set(protocol.families)) < 3 * folds:
        return None
    return balanced_folds(protocol.identities, protocol.families, folds=folds)
