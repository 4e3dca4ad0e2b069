"""Similarities and two thresholds to a verdict on one frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facelatch.values.observations import Reason, Thresholds, Verdict
from facelatch.values.records import Gallery, Person

_ROUNDING = 1e-9
"""1.0 - 0.8 is a hair less than 0.2 in floating point, and must not be less than a margin of 0.2."""


def match(similarities: NDArray[np.float32], gallery: Gallery, thresholds: Thresholds) -> Verdict:
    """Who the probe is, given its similarity (N,) to each of the gallery's N references.

    A reference is a *detection* from `thresholds.detection` on. A person passes when the share of
    detections among that person's references reaches `thresholds.verification`. Nobody passes: a no.
    Two pass and are closer than the ambiguity margin, or equal: a no as well. A similarity that is not
    a number detects nothing. Raises ValueError when N is not the gallery's.
    """
    if similarities.shape != gallery.codes.shape:
        raise ValueError(f"{similarities.shape} similarities for {gallery.codes.shape} references")
    if not gallery.ids:
        return Verdict(reason=Reason.NOBODY_ENROLLED)
    detected = np.asarray(similarities, np.float32) >= np.float32(thresholds.detection)
    references = np.bincount(gallery.codes, minlength=len(gallery.ids))
    detections = np.bincount(gallery.codes[detected], minlength=len(gallery.ids))
    shares = detections / references
    # By share, then by number of detections; equals by the person longest enrolled, to be deterministic.
    ranking = np.lexsort((-detections, -shares))
    best = int(ranking[0])
    runner_up = int(ranking[1]) if len(ranking) > 1 else None
    if detections[best] == 0:
        return Verdict(reason=Reason.NOT_RECOGNISED)

    def passes(code: int) -> bool:
        return bool(shares[code] >= thresholds.verification)

    reason = Reason.MATCHED
    if not passes(best):
        reason = Reason.TOO_FEW_DETECTIONS
    elif runner_up is not None and passes(runner_up):
        lead = float(shares[best] - shares[runner_up])
        if lead <= 0 or lead < thresholds.ambiguity_margin - _ROUNDING:
            reason = Reason.AMBIGUOUS
    return Verdict(
        reason=reason,
        person=gallery.people[gallery.ids[best]],
        share=float(shares[best]),
        detections=int(detections[best]),
        references=int(references[best]),
    )


@dataclass(frozen=True, slots=True)
class Closeness:
    """How near a probe came to one person."""

    person: Person
    detections: int
    similarities: list[float]
    """To each reference, four digits."""


def closest(
    similarities: NDArray[np.float32], gallery: Gallery, detection_threshold: float, most: int
) -> list[Closeness]:
    """The people whom the probe came closest to, at most `most`, by share of detections; equals by likeness."""
    people = len(gallery.ids)
    detected = gallery.codes[similarities >= np.float32(detection_threshold)]
    detections = np.bincount(detected, minlength=people)
    best = np.zeros(people, dtype=np.float32)
    np.maximum.at(best, gallery.codes, similarities)
    shares = detections / np.bincount(gallery.codes, minlength=people) if people else best
    return [
        Closeness(
            person=gallery.people[gallery.ids[code]],
            detections=int(detections[code]),
            similarities=[round(float(one), 4) for one in similarities[gallery.codes == code]],
        )
        for code in np.lexsort((-best, -shares))[:most].tolist()
    ]
