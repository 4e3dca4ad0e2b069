"""Whom the door takes for each other, among people it has embeddings of only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facelatch.line.admission import DUPLICATE_SHARE, Judge
from facelatch.values.records import Gallery
from facelatch.vision import fusion

NEAREST = 16
"""How many of the others are compared picture by picture: those whose references are nearest in the mean. Whoever would
be taken for somebody is first among them; to compare with everybody takes a minute where 500 people come at once."""


def middles(gallery: Gallery) -> NDArray[np.float32]:
    """What the references of each person have in common (people, D), in the order of `gallery.ids`."""
    found = [fusion.middle(gallery.embeddings[gallery.codes == code]) for code in range(len(gallery.ids))]
    return np.stack(found) if found else np.zeros((0, 0), np.float32)


def taken_for(
    judge: Judge, person: int, gallery: Gallery, means: NDArray[np.float32] | None = None
) -> frozenset[int]:
    """The ids of the people in `gallery` whom the door takes for `person`, one of them, or `person` for them.

    Either way counts, so that of two people the answer is the same whoever is asked about. `means` is
    `middles(gallery)`, for a caller who asks about several.
    """
    if person not in gallery.ids:
        return frozenset()
    means = middles(gallery) if means is None else means
    nearness = judge.compare(means[gallery.ids.index(person)], means)
    nearest = np.argsort(-nearness, kind="stable")[: NEAREST + 1].tolist()
    return _taken_for(judge, person, gallery.only({person, *(gallery.ids[place] for place in nearest)}))


def _taken_for(judge: Judge, person: int, gallery: Gallery) -> frozenset[int]:
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
    return frozenset(found) - {person}


def indistinct(judge: Judge, person: int, gallery: Gallery) -> bool:
    """Whether the references of `person`, one of `gallery`, would not be taken at an enrolment here."""
    own = gallery.embeddings[gallery.codes == gallery.ids.index(person)]
    return any(test(own) for test in judge.line.set_tests)


def _matching(
    hits: NDArray[np.bool_], codes: NDArray[np.intp], counts: NDArray[np.intp]
) -> NDArray[np.float64]:
    """For each row of `hits` (P, N) the share of each person's references that were detected (P, people)."""
    return np.stack([np.bincount(codes[row], minlength=len(counts)) / counts for row in hits])
