"""Thresholds of the levels, from sources whose cameras, people and media a network has never seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facelatch.vision.liveness_manifest import Level
from facelatch_training.liveness.judge.rates import Floats, apcer, bpcer

BASIC_APCER, STRICT_APCER = 0.20, 0.05


@dataclass(frozen=True)
class LeftOut:
    """Scores of one family of sources, by a network that was trained without it."""

    family: str
    live: Floats
    attack: Floats


@dataclass(frozen=True)
class Levels:
    """The two levels."""

    basic: Level
    strict: Level
    basic_with_extra: Level | None = None
    strict_with_extra: Level | None = None
    """The same of the sum with the peer."""


def levels(alone: Sequence[LeftOut], summed: Sequence[LeftOut] = ()) -> Levels:
    """Both levels; every family counts as much as the others, however many pictures it has."""
    return Levels(
        basic=level(alone, BASIC_APCER),
        strict=level(alone, STRICT_APCER),
        basic_with_extra=level(summed, BASIC_APCER) if summed else None,
        strict_with_extra=level(summed, STRICT_APCER) if summed else None,
    )


def level(families: Sequence[LeftOut], target: float) -> Level:
    """The lowest threshold whose APCER, the mean over families, is at most `target`."""
    candidates = np.unique(np.concatenate([one.attack for one in families]))
    candidates = np.append(candidates, np.nextafter(candidates[-1], np.inf))
    low, high = 0, len(candidates) - 1
    while low < high:
        middle = (low + high) // 2
        if np.mean([apcer(one.attack, candidates[middle]) for one in families]) <= target:
            high = middle
        else:
            low = middle + 1
    threshold = float(candidates[low])
    return Level(
        threshold=threshold,
        apcer=float(np.mean([apcer(one.attack, threshold) for one in families])),
        bpcer=float(np.mean([bpcer(one.live, threshold) for one in families if len(one.live)])),
    )
