"""Similarities and two thresholds to a verdict on one probe: a picture, or what several pictures are together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facelatch.values.observations import Judged, Reason, Thresholds, Verdict
from facelatch.values.records import Gallery, Person

_ROUNDING = 1e-9
"""1.0 - 0.8 is a hair less than 0.2 in floating point, and must not be less than a margin of 0.2."""


def match(similarities: NDArray[np.float32], gallery: Gallery, thresholds: Thresholds) -> Verdict:
    """Who the probe is, given its similarity (N,) to each of the gallery's N references.

    A reference is a *detection* from `thresholds.detection` on. A person passes when the share of
    detections among that person's references is `needed_share`. Nobody passes: a no. Two pass and are
    closer than the ambiguity margin, or equal: a no as well. A similarity that is not a number detects
    nothing. Raises ValueError when N is not the gallery's.
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
        return bool(shares[code] >= needed_share(gallery.ids[code], gallery, thresholds))

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


def needed_share(person: int, gallery: Gallery, thresholds: Thresholds) -> float:
    """Which share of the references of `person` (an id) have to be detections."""
    if person in gallery.lookalikes and thresholds.lookalike_verification is not None:
        return max(thresholds.verification, thresholds.lookalike_verification)
    return thresholds.verification


def supports(seen: Judged, verdict: Verdict, gallery: Gallery, thresholds: Thresholds) -> bool:
    """Whether one picture may be of the person that several pictures, it among them, are matched with.

    By itself it must not match anybody else, and it must be alike (`thresholds.likeness`) to as large a share of the
    person's references as is to be detected.
    """
    person = verdict.person
    if person is None or thresholds.likeness is None:
        return False
    if seen.verdict.matched and seen.verdict.person != person:
        return False
    rows = gallery.codes == gallery.ids.index(person.id)
    alike = float(np.mean(seen.similarities[rows] >= np.float32(thresholds.likeness)))
    return alike >= needed_share(person.id, gallery, thresholds)


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
