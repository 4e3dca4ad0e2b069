"""The two halves of the people: thresholds are chosen on one and reported on the other. And what so few can tell."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facelatch.errors import InputError
from facelatch.ports import Verifier
from facelatch_training.judge import intervals
from facelatch_training.judge.attempts import Similarities, Street
from facelatch_training.judge.comparisons import compare_all
from facelatch_training.judge.frames import Frames, Ints, make_frames
from facelatch_training.judge.metrics import Comparisons
from facelatch_training.judge.settings import photographs_needed
from facelatch_training.judge.tracks import play_tracks
from facelatch_training.judge.verifiers import embed_both
from facelatch_training.recipe import Targets

_MIN_PEOPLE = 8


@dataclass(frozen=True, eq=False)
class Half:
    """One half of the people: N pictures, the person and the family that each shows as numbers (N,)."""

    crops: npt.NDArray[np.uint8]
    people: Ints
    families: Ints

    def comparisons(self, verifier: Verifier) -> Comparisons:
        """Every picture against every other."""
        present = np.ones(len(self.crops), dtype=bool)
        embedded = embed_both(verifier, self.crops)
        return compare_all(verifier, embedded, present, self.people.astype(np.int32))

    def frames(self, verifier: Verifier, seed: int) -> Frames:
        """The frames that visits are drawn from."""
        return make_frames(verifier, self.crops, self.people, self.families, seed)

    def street(self, verifier: Verifier, frames: Frames, similarities: Similarities, seed: int) -> Street:
        """Everybody's visits."""
        tracks = play_tracks(frames, verifier, similarities.likeness, similarities.steady, seed)
        return Street(verifier, frames, tracks)


def halves(
    crops: npt.NDArray[np.uint8], identities: Sequence[str], families: Sequence[str]
) -> tuple[Half, Half]:
    """Half A, on which thresholds are chosen, and half B, on which they are reported."""
    in_a, names, kin = calibration_half(families), np.array(identities), _numbers(np.array(families))
    half_a, half_b = (Half(crops[half], _numbers(names[half]), kin[half]) for half in (in_a, ~in_a))
    return half_a, half_b


def calibration_half(families: Sequence[str]) -> npt.NDArray[np.bool_]:
    """(N,) whether each picture belongs to half A: by a stable hash of its family, so relatives stay together."""
    return np.array(
        [hashlib.sha256(f"half:{family}".encode()).digest()[0] < 128 for family in families],
        dtype=bool,
    )


def photographs_for(identities: Sequence[str], families: Sequence[str], enrolled: int) -> int:
    """From how many photographs on people are enrolled in visits to galleries of so many."""
    return photographs_needed(_counts(identities, families), enrolled)


def unmeasurable_targets(
    identities: Sequence[str], families: Sequence[str], targets: Targets, data: str
) -> list[str]:
    """Targets that so few pictures (N,) cannot measure, in words: too few errors are to be expected.

    Known before any model is there. Raises InputError where nothing could be calibrated at all.
    """
    counts = _counts(identities, families)
    if min(map(len, counts)) < _MIN_PEOPLE:
        raise InputError(
            f"{data}: {len(set(identities))} people; each half of a calibration needs {_MIN_PEOPLE}",
            hint="calibrate on more people, none of whom was trained on",
        )
    able = min(int((half > 1).sum()) for half in counts)
    if able <= targets.enrolled:
        raise InputError(
            f"{data}: {able} people with two photographs or more; visits to a door with {targets.enrolled} enrolled "
            f"need {targets.enrolled + 1} in each half",
            hint="calibrate on more people, or for a smaller --enrolled",
        )
    pictures = int(counts[0].sum())
    impostors = pictures * (pictures - 1) // 2 - int((counts[0] * (counts[0] - 1) // 2).sum())
    # However many visits are simulated, so many galleries' worth of different pairs are there to be seen.
    people, able = len(counts[1]), int((counts[1] >= photographs_needed(counts, targets.enrolled)).sum())
    visits = min(targets.households * (people - targets.enrolled), able * (people - 1) // targets.enrolled)
    return [
        f"{target:g} cannot be told from {count} {what}: {math.ceil(intervals.MIN_ERRORS / target)} are needed"
        for target, count, what in (
            (targets.fmr, impostors, "impostor comparisons"),
            (targets.far_per_attempt, visits, "different visits of strangers"),
        )
        if target * count < intervals.MIN_ERRORS
    ]


def _counts(identities: Sequence[str], families: Sequence[str]) -> list[Ints]:
    """How many photographs each person of each half has."""
    chosen, names = calibration_half(families), np.array(identities)
    return [np.unique(half, return_counts=True)[1] for half in (names[chosen], names[~chosen])]


def _numbers(names: npt.NDArray[np.str_]) -> Ints:
    return np.unique(names, return_inverse=True)[1].reshape(-1).astype(np.int64)
