"""What relatives and doubles of the enrolled are granted, and what is gained by judging their pictures together.

    python tests/scenarios/relatives_report.py ../shared/data/faces [--households 150] [--enrolled 10]

Simulated visits of half B of the validation people, with the thresholds of the manifest: relatives in galleries of
anybody with two photographs or more, against frames judged one by one; households of relatives, with and without the
stricter share of look-alikes; strangers who take over the track of somebody enrolled. See `visits_report.py`.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from visits_report import BEFORE, REFERENCES, REQUIRED, manifest_rules, print_paired, span

from facelatch.config.shipped import shipped_file
from facelatch.vision import fusion
from facelatch.vision.manifest import Manifest, load_manifest
from facelatch_training.judge.attempts import (
    Members,
    Similarities,
    Street,
    Visits,
    anybody,
    granted,
    references_of,
    sample_visits,
)
from facelatch_training.judge.halves import halves
from facelatch_training.judge.protocols import gather, prepared
from facelatch_training.judge.settings import door_rules, false_grants, false_refusals, per_person
from facelatch_training.judge.tracks import DRAWS, STILL, VARIED
from facelatch_training.judge.verifiers import open_verifier

SAME_FAR = (0.8929745554924011, 1)
"""What visits_report chooses on half A for frames judged one by one: detection threshold and detections."""
PHOTOGRAPHS, PHOTOGRAPHS_OF_RELATIVES = 2, 4
"""Families are few: people with so many photographs are enrolled, in households of relatives those with more."""
TAKEOVERS = 4000


def main() -> None:
    """Reads the command line, plays, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("faces", type=Path, help="a prepared crop set")
    parser.add_argument("--households", type=int, default=150)
    parser.add_argument("--enrolled", type=int, default=10)
    options = parser.parse_args()
    protocol = prepared(options.faces)
    _, half = halves(gather(protocol), protocol.identities, protocol.families)
    model = shipped_file("models", "siamese.tflite")
    verifier, manifest = open_verifier(model), load_manifest(model)
    assert manifest.visits is not None
    similarities = Similarities(
        detections=(manifest.detection_threshold,),
        likeness=manifest.visits.likeness_threshold,
        steady=manifest.visits.steady_threshold,
        lookalike=manifest.visits.lookalike_threshold,
    )
    street = half.street(verifier, half.frames(verifier, 1), similarities, 1)
    _relatives(street, similarities, options, manifest)
    _households(street, similarities, options, manifest)
    for words, kind in (("differ", VARIED), ("are of one photograph", STILL)):
        _taken_over(street, similarities, manifest, kind, words)


def _relatives(street: Street, similarities: Similarities, options: argparse.Namespace, manifest: Manifest) -> None:
    """The same visits by the ways of before, and by the manifest."""
    members = anybody(street, options.enrolled, PHOTOGRAPHS)

    def sampled(detections: tuple[float, ...], *, halfway: bool) -> list[Visits]:
        return sample_visits(
            street,
            replace(similarities, detections=detections),
            members,
            references=REFERENCES,
            households=options.households,
            seed=3,
            halfway=halfway,
        )

    before = sampled((BEFORE[0], SAME_FAR[0]), halfway=False)
    (now,) = sampled(similarities.detections, halfway=True)
    old, same = (door_rules(way[1] / REFERENCES, REQUIRED, together=False) for way in (BEFORE, SAME_FAR))
    ways = [
        ("one by one, thresholds of version 0.2", before[0], old),
        ("one by one, for the same strangers' rate", before[1], same),
        ("as the manifest says", now, manifest_rules(manifest)),
    ]
    found = []
    for words, visits, rules in ways:
        outcome, _ = granted(visits, rules)
        found.append(false_grants(visits, outcome, visits.related))
        far, frr = false_grants(visits, outcome, visits.own < 0), false_refusals(visits, outcome)
        count = int(visits.related.sum()) // 2
        print(f"{words}: strangers granted {span(far)}, enrolled refused {span(frr)}")
        print(f"    relatives granted {span(found[-1])} in {count} visits")
    for (words, *_), one in zip(ways[:2], found[:2], strict=True):
        print_paired(f"relatives granted against {words}", one - found[-1])


def _families_together(street: Street, enrolled: int, photographs: int) -> Members:
    """Galleries in which as many as possible have a relative."""
    families, able = street.frames.families, street.frames.people_with(photographs)
    shared = [able[families[able] == one] for one in np.unique(families[able])]
    groups = [group for group in shared if len(group) > 1]

    def members(rng: np.random.Generator) -> np.ndarray:
        together = np.concatenate([groups[one] for one in rng.permutation(len(groups))])[:enrolled]
        others = np.setdiff1d(able, together)
        return np.concatenate([together, rng.choice(others, enrolled - len(together), replace=False)])

    print(f"families with two people or more who can be enrolled: {len(groups)}")
    return members


def _households(
    street: Street, similarities: Similarities, options: argparse.Namespace, manifest: Manifest
) -> None:
    """Households of relatives, with the share of all and with the stricter one for look-alikes."""
    members = _families_together(street, options.enrolled, PHOTOGRAPHS_OF_RELATIVES)
    (visits,) = sample_visits(
        street, similarities, members, references=REFERENCES, households=options.households, seed=1
    )
    print(f"people of such households with a look-alike: {visits.lookalike.mean():.1%}")
    found = []
    for words, stricter in (("one share for all", False), ("a stricter one", True)):
        outcome, _ = granted(visits, manifest_rules(manifest, stricter=stricter))
        enrolled = visits.own >= 0
        wrong = enrolled & (outcome >= 0) & (outcome != visits.own)
        mistaken = per_person(visits.visitor[enrolled], wrong[enrolled])
        refused, relatives = false_refusals(visits, outcome), false_grants(visits, outcome, visits.related)
        found.append((relatives, mistaken, -refused))
        print(
            f"households of relatives, {words}: relatives granted {span(relatives)}, enrolled taken for another "
            f"{span(mistaken)}, enrolled not granted {span(refused)}"
        )
    for words, one, other in zip(
        ("relatives granted", "enrolled taken for another", "enrolled granted"), *found, strict=True
    ):
        print_paired(f"{words} with the stricter share", one - other)


def _taken_over(
    street: Street, similarities: Similarities, manifest: Manifest, kind: int, words: str
) -> None:
    """How often a stranger's frame counts for an enrolled person whose two frames came just before it."""
    verifier, tracks, rng = street.verifier, street.tracks, np.random.default_rng(2)
    people = street.frames.people_with(PHOTOGRAPHS_OF_RELATIVES)
    followed = evidence = tried = 0
    for _ in range(TAKEOVERS):
        owner, stranger = rng.choice(people), rng.integers(0, len(street.frames.photos))
        draw = rng.integers(0, DRAWS)
        if street.frames.families[owner] == street.frames.families[stranger]:
            continue
        tried += 1
        own, other = tracks.single[owner, draw, kind, :2], tracks.single[stranger, draw, STILL, 0]
        before = fusion.fused(own, np.ones(2))
        steady = verifier.compare(own[1], own[:1])[0] >= similarities.steady
        least = similarities.steady if steady else similarities.likeness
        if verifier.compare(other, before[np.newaxis])[0] < least:
            continue
        followed += 1
        raw = references_of(street.frames, tracks.kept[owner][draw], REFERENCES)
        references = fusion.halfway(raw, np.zeros(REFERENCES, np.intp))
        probe = fusion.fused(np.stack([*own, other]), np.ones(3))
        detected = (verifier.compare(probe, references) >= similarities.detections[0]).mean()
        supported = (verifier.compare(other, references) >= similarities.likeness).mean()
        evidence += min(detected, supported) >= manifest.verification_threshold
    print(
        f"a stranger in place of an enrolled person after two frames that {words}: {tried} tried, {followed} follow "
        f"the track, {evidence} count as evidence for that person"
    )


if __name__ == "__main__":
    main()
