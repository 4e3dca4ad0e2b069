"""Which pictures of a set are of one person: nothing else decides whose references they may become.

Pictures are compared with each other; two are *alike* when one is a detection of the other. The picture that most
others are alike to, with those, is the core. A picture is inside when it is alike to at least a share of the core (the
verification threshold: the share by which the door itself would recognise it). All others are outside.

The set is split, and nobody can tell who is meant, when half of it or more is outside. That pictures outside are alike
to each other proves no second person: frames of one video are, whoever is on it. Where there are pictures already that
the new ones must fit, those are the core and stay inside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Compare = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]
"""Of one embedding (D,) with others (N, D): similarities (N,)."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """What became of the new pictures of a set, by their place in it."""

    inside: tuple[int, ...]
    outside: tuple[int, ...]
    split: bool
    """Whether the set cannot be used."""


def alike(compare: Compare, embeddings: NDArray[np.float32], detection: float) -> NDArray[np.bool_]:
    """For N embeddings (N, D) which are alike to which (N, N), both ways; none to itself."""
    rows = [compare(one, embeddings) >= np.float32(detection) for one in embeddings]
    found = np.array(rows, dtype=bool).reshape(len(embeddings), len(embeddings))
    both: NDArray[np.bool_] = (found | found.T) & ~np.eye(len(found), dtype=bool)
    return both


def cluster(alike: NDArray[np.bool_], share: float, settled: int = 0) -> Cluster:
    """Which of N pictures belong together, given which are alike (N, N).

    One is inside that is alike to at least this `share` of the core. The first `settled` are somebody's already and
    not in question; the places in the answer count from the first after them.
    """
    number = len(alike)
    if number - settled == 0:
        return Cluster((), (), split=True)
    if number == 1:
        return Cluster((0,), (), split=False)
    core = np.arange(number) < settled
    if not settled:
        medoid = int(np.argmax(alike.sum(axis=1)))
        core = alike[medoid] | (np.arange(number) == medoid)
    others = np.maximum(core.sum() - core, 1)
    inside = (alike[:, core].sum(axis=1) / others >= share) | (np.arange(number) < settled)
    new = inside[settled:]
    return Cluster(
        inside=tuple(np.flatnonzero(new).tolist()),
        outside=tuple(np.flatnonzero(~new).tolist()),
        split=bool(2 * new.sum() <= len(new)),
    )
