"""Error rates by slice: the same people seen badly, and relatives as impostors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facelatch.ports import Verifier
from facelatch.values.pictures import Image
from facelatch_training.data.dataset import family_of
from facelatch_training.judge import intervals, metrics
from facelatch_training.judge.slices import SLICES
from facelatch_training.judge.verifiers import Embeddings, embed_both, embed_crops


@dataclass(frozen=True)
class SliceRates:
    """What a model does when probes are spoiled one way, at the threshold calibrated on whole pictures."""

    fmr: intervals.Interval
    fnmr: intervals.Interval
    tar_at_1e3: intervals.Interval
    """TAR at FAR 1e-3 with a threshold of the slice's own."""
    identities: int
    genuine: int
    impostors: int


def measure_slices(
    verifier: Verifier,
    crops: npt.NDArray[np.uint8],
    identities: Sequence[str],
    threshold: float,
    *,
    families: Sequence[str] | None = None,
    turned: Callable[[Image], bool] | None = None,
    limit: int = 1500,
    resamples: int = 200,
    seed: int = 0,
) -> dict[str, SliceRates]:
    """Per slice the rates of whole references against spoiled probes, on at most about `limit` crops.

    `families` (N,) None: what the names tell. `whole` spoils nothing and is what the others are to be
    compared with; `relatives` has the same pictures but only members of one family as impostors, `turned` only the
    probes of which `turned` says that the head is (both left out where there are none).
    """
    kinship = np.array(families or [family_of(name) for name in identities])
    rows = _whole_families(kinship, limit, seed)
    names = np.array(identities)[rows]
    numbers = np.unique(names, return_inverse=True)[1].reshape(-1).astype(np.int32)
    probes, references = embed_both(verifier, crops[rows])
    rates: dict[str, SliceRates] = {}
    whole = _crossed(verifier, references, probes, numbers)
    rates["whole"] = _rates(whole, threshold, resamples, seed)
    off_diagonal = ~np.eye(len(rows), dtype=bool)
    kin = (kinship[rows][:, None] == kinship[rows][None, :])[off_diagonal]
    if (kin & ~whole.genuine).any():
        rates["relatives"] = _rates(whole.where(kin), threshold, resamples, seed)
    if turned is not None:
        heads = np.repeat([turned(crops[row]) for row in rows], len(rows)).reshape(off_diagonal.shape)[
            off_diagonal
        ]
        if (heads & whole.genuine).any():
            rates["turned"] = _rates(whole.where(heads), threshold, resamples, seed)
    for name, spoil in SLICES.items():
        rng = np.random.default_rng([seed, len(name), ord(name[0])])
        probes = embed_crops(verifier, np.stack([spoil(crops[row], rng) for row in rows]))
        crossed = _crossed(verifier, references, probes, numbers)
        rates[name] = _rates(crossed, threshold, resamples, seed)
    return rates


def _whole_families(families: npt.NDArray[np.str_], limit: int, seed: int) -> npt.NDArray[np.int64]:
    """Rows of whole families in a seeded order until `limit` is reached."""
    order = np.random.default_rng(seed).permutation(np.unique(families))
    chosen: list[npt.NDArray[np.int64]] = []
    for name in order:
        if sum(map(len, chosen)) >= limit:
            break
        chosen.append(np.flatnonzero(families == name))
    return np.sort(np.concatenate(chosen))


def _crossed(
    verifier: Verifier, references: Embeddings, probes: Embeddings, numbers: npt.NDArray[np.int32]
) -> metrics.Comparisons:
    """Every probe against the reference of every other picture."""
    off_diagonal = ~np.eye(len(numbers), dtype=bool)
    similarity = np.stack([verifier.compare(probe, references) for probe in probes])[off_diagonal]
    first = np.repeat(numbers, len(numbers)).reshape(off_diagonal.shape)[off_diagonal]
    second = np.tile(numbers, len(numbers)).reshape(off_diagonal.shape)[off_diagonal]
    return metrics.Comparisons(similarity=similarity, genuine=first == second, first=first, second=second)


def _rates(comparisons: metrics.Comparisons, threshold: float, resamples: int, seed: int) -> SliceRates:
    figures = intervals.bootstrap(
        comparisons,
        {
            "fmr": lambda table: table.fmr(threshold),
            "fnmr": lambda table: table.fnmr(threshold),
            "tar": lambda table: table.tar_at(1e-3),
        },
        resamples=resamples,
        seed=seed,
    )
    return SliceRates(
        fmr=figures["fmr"],
        fnmr=figures["fnmr"],
        tar_at_1e3=figures["tar"],
        identities=comparisons.identities,
        genuine=int(comparisons.genuine.sum()),
        impostors=int((~comparisons.genuine).sum()),
    )
