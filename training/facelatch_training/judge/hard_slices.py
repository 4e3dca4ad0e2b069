"""What a model does with faces that are hard to read: covered on either side of a comparison, or turned.

A promise of so many false matches is for the faces that come to a door, not for the average photograph. Each slice is
judged at the threshold of the manifest, as the door's line would judge it: what the line refuses to judge is a false
non-match where it is genuine, and no match where it is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from facelatch.ports import Verifier
from facelatch.vision.cohort import NO_COHORT, Cohort, is_familiar
from facelatch_training.data.covers import COVERINGS, IN_CROP, covered
from facelatch_training.data.crops import CropArray
from facelatch_training.judge import intervals
from facelatch_training.judge.metrics import FAILED, Comparisons, ranked
from facelatch_training.judge.verifiers import Embeddings, embed_both
from facelatch_training.recipe import Targets

_PICTURES = 1000
"""On which the threshold for covered faces is found: a million comparisons each."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Looked:
    """N pictures as a door sees them: embedded in both parts they can play, and whether its line judges them."""

    probes: Embeddings = field(repr=False)
    """(N, D)."""
    references: Embeddings = field(repr=False)
    """(N, D)."""
    judged: Mask = field(repr=False)
    """(N,) False: the line refuses, as unfamiliar or as turned away."""

    def some(self, chosen: Mask) -> Looked:
        """Those for which `chosen` (N,) holds."""
        return Looked(self.probes[chosen], self.references[chosen], self.judged[chosen])


@dataclass(frozen=True)
class HardRates:
    """One slice at the detection threshold."""

    fmr: intervals.Interval
    fnmr: intervals.Interval
    """Refusals to judge count as false non-matches."""
    refused: float
    """Share of genuine comparisons in which the line refuses one of the two pictures."""
    identities: int
    genuine: int
    impostors: int


def look(
    verifier: Verifier,
    cohort: Cohort,
    crops: CropArray,
    straight: Mask | None = None,
) -> Looked:
    """Crops (N, 112, 112, 3) as the door sees them. `straight` (N,) is False for those whom its line would ask to look
    straight (None: for nobody).
    """
    probes, references = embed_both(verifier, crops)
    judged = np.array([is_familiar(one, cohort) for one in probes], bool)
    return Looked(probes, references, judged if straight is None else judged & straight)


def dressed(crops: CropArray, covering: str, seed: int) -> CropArray:
    """Every crop with its own drawing of `covering`, the same for the same seed."""
    rng = np.random.default_rng([seed, COVERINGS.index(covering)])
    return np.stack([covered(crop, covering, IN_CROP, rng) for crop in crops])


def covered_slices(
    verifier: Verifier, cohort: Cohort, crops: CropArray, *, seed: int = 0
) -> Iterator[tuple[str, Looked, Looked]]:
    """(name, pictures as probes, the same as references) for every covering on probe, reference and both sides.

    What is drawn on a probe is another drawing than that on a reference. `bare`, the first, is what the others are
    to be compared with.
    """
    bare = look(verifier, cohort, crops)
    yield "bare", bare, bare
    for covering in COVERINGS:
        probe = look(verifier, cohort, dressed(crops, covering, seed))
        reference = look(verifier, cohort, dressed(crops, covering, seed + 1))
        yield f"{covering} on probe", probe, bare
        yield f"{covering} on reference", bare, reference
        yield f"{covering} on both", probe, reference


def crossed(
    verifier: Verifier, probes: Looked, references: Looked, of_probes: Sequence[str], of_references: Sequence[str]
) -> Comparisons:
    """Every probe against every reference, but a picture against itself, for which lists of one length and one naming
    are taken. Comparisons with a picture that the line refuses are FAILED.
    """
    _, numbers = np.unique([*of_probes, *of_references], return_inverse=True)
    left, right = np.split(numbers.reshape(-1).astype(np.int32), [len(of_probes)])
    similarity = np.stack([verifier.compare(probe, references.references) for probe in probes.probes])
    similarity[~probes.judged] = FAILED
    similarity[:, ~references.judged] = FAILED
    others = np.ones(similarity.shape, bool)
    if list(of_probes) == list(of_references):
        np.fill_diagonal(others, False)
    first = np.broadcast_to(left[:, None], others.shape)[others]
    second = np.broadcast_to(right[None], others.shape)[others]
    return Comparisons(similarity=similarity[others], genuine=first == second, first=first, second=second)


def hard_rates(comparisons: Comparisons, threshold: float, *, resamples: int = 200, seed: int = 0) -> HardRates:
    """The figures of one slice. Raises ValueError where there are no genuine or no impostor comparisons."""
    figures = intervals.bootstrap(
        comparisons,
        {"fmr": lambda table: table.fmr(threshold), "fnmr": lambda table: table.fnmr(threshold)},
        resamples=resamples,
        seed=seed,
    )
    genuine = comparisons.genuine
    return HardRates(
        fmr=figures["fmr"],
        fnmr=figures["fnmr"],
        refused=float(np.mean(comparisons.similarity[genuine] == FAILED)),
        identities=comparisons.identities,
        genuine=int(genuine.sum()),
        impostors=int((~genuine).sum()),
    )


def worst(rates: dict[str, HardRates]) -> str:
    """The slice with most false matches."""
    return max(rates, key=lambda name: rates[name].fmr.value)


def covered_floor(
    verifier: Verifier, crops: CropArray, people: npt.NDArray[np.int64], targets: Targets
) -> float:
    """The lowest detection threshold that keeps `targets.worst_slice` for faces covered on both sides, the slices with
    most false matches; 0 where it is not asked for. `crops` (N, 112, 112, 3) of the `people` (N,) to choose it on.
    """
    if targets.worst_slice is None:
        return 0.0
    rows = np.sort(np.random.default_rng(targets.seed).permutation(len(crops))[:_PICTURES])
    names = people[rows].astype(str).tolist()
    floors = []
    for covering in COVERINGS:
        probe, reference = (
            look(verifier, NO_COHORT, dressed(crops[rows], covering, targets.seed + drawing)) for drawing in (2, 3)
        )
        ranks = ranked(crossed(verifier, probe, reference, names, names))
        floors.append(ranks.threshold_at(min(1.0, targets.worst_slice * targets.fmr)))
    return max(floors)
