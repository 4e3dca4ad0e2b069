"""What judging the pictures of a visit together is worth, and references moved towards what they share.

    python tests/scenarios/visits_report.py ../shared/data/faces [--households 60] [--enrolled 10]

Plays simulated visits of the validation people of a crop set, in four ways: frames one by one or together, references
as they are or halfway to their mean. Thresholds of each way are chosen on half A for one false grant in 1,000 visits of
strangers, everything shown is of half B. Then the same visits by the manifest of version 0.2 and by the one of today.
Of relatives and doubles `relatives_report.py` tells more.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from facelatch.config.shipped import shipped_file
from facelatch.ports import Verifier
from facelatch.vision.manifest import Manifest, load_manifest
from facelatch_training.judge.attempts import Rules, Similarities, Street, granted
from facelatch_training.judge.calibrate import detections_to_try, similarities_of
from facelatch_training.judge.halves import Half, halves, photographs_for
from facelatch_training.judge.intervals import interval_over_people
from facelatch_training.judge.protocols import gather, prepared
from facelatch_training.judge.settings import (
    Sample,
    door_rules,
    false_grants,
    false_refusals,
    visits_for,
)
from facelatch_training.judge.verifiers import open_verifier
from facelatch_training.recipe import Targets

FAR = 1e-3
BEFORE = (0.8473668694496155, 3)
"""Detection threshold and detections of 8 references in the manifest of version 0.2."""
REFERENCES, REQUIRED = 8, 3
RESAMPLES = 2000


@dataclass(frozen=True)
class Errors:
    """Shares for each person: strangers granted, relatives granted, enrolled refused in still and in varied visits."""

    far: np.ndarray
    relatives: np.ndarray
    still: np.ndarray
    varied: np.ndarray
    seconds: float

    def __str__(self) -> str:
        return (
            f"FAR {span(self.far)}, relatives {span(self.relatives)}, FRR still {span(self.still)}, "
            f"varied {span(self.varied)}, median {self.seconds:.2f} s"
        )


def main() -> None:
    """Reads the command line, plays, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("faces", type=Path, help="a prepared crop set")
    parser.add_argument("--households", type=int, default=60)
    parser.add_argument("--enrolled", type=int, default=10)
    options = parser.parse_args()
    protocol = prepared(options.faces)
    half_a, half_b = halves(gather(protocol), protocol.identities, protocol.families)
    photographs = photographs_for(protocol.identities, protocol.families, options.enrolled)
    model = shipped_file("models", "siamese.tflite")
    verifier, manifest = open_verifier(model), load_manifest(model)
    compared = half_a.comparisons(verifier)
    frames = half_a.frames(verifier, 0)
    similarities = similarities_of(verifier, compared, frames, detections_to_try(compared, Targets()))
    street_a = half_a.street(verifier, frames, similarities, 0)
    street_b = _street(half_b, verifier, similarities)
    targets = Targets(households=options.households, enrolled=options.enrolled)
    was, now = (BEFORE[0], manifest.detection_threshold)
    found = {}
    for halfway in (False, True):
        chosen_on, shown_on, found[halfway] = (
            visits_for(street, similarities, REFERENCES, photographs, targets, halfway=halfway)
            for street, similarities in (
                (street_a, similarities),
                (street_b, similarities),
                (street_b, replace(similarities, detections=(now if halfway else was,))),
            )
        )
        for together in (False, True):
            threshold, detections = _choose(chosen_on, similarities, together=together)
            sample = shown_on[similarities.detections.index(threshold)]
            way = f"{'together' if together else 'one by one'}, references {'halfway' if halfway else 'as they are'}"
            print(f"{way}: {threshold:.4f}, {detections} of {REFERENCES}: ", end="")
            print(_errors(sample, door_rules(detections / REFERENCES, REQUIRED, together=together)))
    _compared(found[False][0], found[True][0], manifest)


def span(shares: np.ndarray) -> str:
    """The mean of people's shares with its 95 % bootstrap interval over them, and how many people they are."""
    low, high = interval_over_people(shares, seed=0, resamples=RESAMPLES)
    return f"{shares.mean():.2%} ({low:.2%} to {high:.2%}; {len(shares)})"


def print_paired(words: str, gained: np.ndarray) -> None:
    """Prints by how much less something happens to the same people, whose differences `gained` (P,) are."""
    low, high = interval_over_people(gained, seed=0, resamples=RESAMPLES)
    print(f"{words}, paired over {len(gained)} people: {gained.mean():.2%} less ({low:.2%} to {high:.2%})")


def manifest_rules(manifest: Manifest, *, stricter: bool = True) -> Rules:
    """How a door decides by the manifest, with or without its stricter share for look-alikes."""
    assert manifest.visits is not None
    more = manifest.visits.lookalike_verification_threshold if stricter else 0.0
    return door_rules(manifest.verification_threshold, REQUIRED, more)


def _street(half: Half, verifier: Verifier, similarities: Similarities) -> Street:
    return half.street(verifier, half.frames(verifier, 1), similarities, 1)


def _choose(tried: list[Sample], similarities: Similarities, *, together: bool) -> tuple[float, int]:
    """Detection threshold and number of detections with the fewest false refusals at FAR."""
    best: tuple[float, float, int] | None = None
    for threshold, sample in zip(similarities.detections, tried, strict=True):
        for detections in range(1, REFERENCES + 1):
            errors = _errors(sample, door_rules(detections / REFERENCES, REQUIRED, together=together))
            refused = float(errors.still.mean() + errors.varied.mean())
            high = interval_over_people(errors.far, seed=detections, share=0.8)[1]
            if high <= FAR and (best is None or refused < best[0]):
                best = (refused, threshold, detections)
    if best is None:
        raise SystemExit("no setting keeps the rate")
    return best[1], best[2]


def _errors(sample: Sample, rules: Rules) -> Errors:
    visits, own = sample
    outcome, _ = granted(visits, rules)
    decided, when = granted(own, rules)
    right = decided == own.own
    return Errors(
        far=false_grants(visits, outcome, visits.own < 0),
        relatives=false_grants(visits, outcome, visits.related),
        still=false_refusals(own, decided, own.still),
        varied=false_refusals(own, decided, ~own.still),
        seconds=float(np.median((when - own.usable.argmax(axis=1))[right])) / 15,
    )


def _compared(before: Sample, now: Sample, manifest: Manifest) -> None:
    """The same visits by the manifest of before, and by the one of today."""
    old = _errors(before, door_rules(BEFORE[1] / REFERENCES, REQUIRED, together=False))
    new = _errors(now, manifest_rules(manifest))
    print(f"as version 0.2 decides: {old}")
    print(f"as the manifest says: {new}")
    for words, one, other in (
        ("relatives granted", old.relatives, new.relatives),
        ("enrolled refused, still", old.still, new.still),
        ("enrolled refused, varied", old.varied, new.varied),
    ):
        print_paired(words, one - other)


if __name__ == "__main__":
    main()
