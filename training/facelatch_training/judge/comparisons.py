"""The comparisons of a protocol through the model's own `compare`."""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt

from facelatch.errors import InputError
from facelatch.ports import Verifier
from facelatch_training.judge.metrics import FAILED, Comparisons
from facelatch_training.judge.protocols import PairList, Protocol
from facelatch_training.judge.verifiers import Embedded

_COMPARISON_BYTES = 13


def refuse_too_many(protocol: Protocol) -> None:
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
    return Comparisons(similarity=similarity, genuine=first == second, first=first, second=second)


def compare_pairs(
    verifier: Verifier,
    embedded: Embedded,
    present: npt.NDArray[np.bool_],
    numbers: npt.NDArray[np.int32],
    pairs: PairList,
) -> Comparisons:
    """The comparisons of a list of pairs, made picture by picture of its first side."""
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
    return Comparisons(
        similarity=similarity,
        genuine=first == second,
        first=first,
        second=second,
        fold=pairs.fold,
    )
