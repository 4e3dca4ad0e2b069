"""Whom the door takes for each other, among people it has embeddings of only."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from facelatch.line.admission import DUPLICATE_SHARE, Judge
from facelatch.values.records import Gallery


def taken_for(judge: Judge, person: int, gallery: Gallery, unheeded: Collection[int] = ()) -> frozenset[int]:
    """The ids of the people in `gallery` whom the door takes for `person`, one of them, or `person` for them.

    Either way counts, so that of two people the answer is the same whoever is asked about.
    """
    if person not in gallery.ids:
        return frozenset()
    limits, code = judge.line.thresholds, gallery.ids.index(person)
    own = gallery.codes == code
    hits = np.stack(
        [judge.compare(one, gallery.embeddings) >= np.float32(limits.detection) for one in gallery.embeddings[own]]
    )
    counts = np.bincount(gallery.codes, minlength=len(gallery.ids))
    there = _matching(hits, gallery.codes, counts) >= limits.verification
    # The other way round: for each reference of the others, the share of this person's that it detects.
    back = hits.mean(axis=0) >= limits.verification
    shares = np.bincount(gallery.codes, weights=back, minlength=len(gallery.ids)) / counts
    alike = (there.mean(axis=0) >= DUPLICATE_SHARE) | (shares >= DUPLICATE_SHARE)
    found = {id_ for id_, is_alike in zip(gallery.ids, alike.tolist(), strict=True) if is_alike}
    return frozenset(found) - {person} - set(unheeded)


def indistinct(judge: Judge, person: int, gallery: Gallery) -> bool:
    """Whether the references of `person`, one of `gallery`, would not be taken at an enrolment here."""
    own = gallery.embeddings[gallery.codes == gallery.ids.index(person)]
    return any(test(own) for test in judge.line.set_tests)


def _matching(
    hits: NDArray[np.bool_], codes: NDArray[np.intp], counts: NDArray[np.intp]
) -> NDArray[np.float64]:
    """For each row of `hits` (P, N) the share of each person's references that were detected (P, people)."""
    return np.stack([np.bincount(codes[row], minlength=len(counts)) / counts for row in hits])
