"""The two thresholds, as the user's document defines them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facelatch.line.match import match
from facelatch.values.observations import Reason, Thresholds, Verdict
from facelatch.values.records import Gallery, Person

ANNA, BEN, CHLOE = Person(3, "anna"), Person(7, "ben"), Person(11, "chloe")
LIMITS = Thresholds(detection=0.9, verification=0.5, ambiguity_margin=0.2)


def gallery(*owners: Person) -> Gallery:
    people = {person.id: person for person in (ANNA, BEN, CHLOE)}
    return Gallery(people, tuple(p.id for p in owners), np.zeros((len(owners), 4), np.float32))


def verdict(similarities: list[float], *owners: Person, limits: Thresholds = LIMITS) -> Verdict:
    return match(np.array(similarities, np.float32), gallery(*owners), limits)


def test_an_empty_gallery_says_that_nobody_is_enrolled():
    assert verdict([]) == Verdict(reason=Reason.NOBODY_ENROLLED)


def test_somebody_alike_to_no_reference_is_not_recognised_and_nobody_is_named():
    assert verdict([0.89, 0.1, 0.5], ANNA, ANNA, BEN) == Verdict(reason=Reason.NOT_RECOGNISED)


def test_the_share_of_detections_decides_not_the_best_similarity():
    assert verdict([1.0, 0.1, 0.1], ANNA, ANNA, ANNA).reason is Reason.TOO_FEW_DETECTIONS


def test_too_few_detections_names_whoever_came_closest():
    found = verdict([1.0, 0, 0, 0, 1.0, 0, 0], *[ANNA] * 4, *[BEN] * 3)
    assert found == Verdict(
        reason=Reason.TOO_FEW_DETECTIONS, person=BEN, share=pytest.approx(1 / 3), detections=1, references=3
    )


def test_a_person_whose_share_reaches_the_threshold_is_matched():
    assert verdict([0.95, 0.95, 0, 0, 0], *[ANNA] * 4, BEN) == Verdict(
        reason=Reason.MATCHED, person=ANNA, share=0.5, detections=2, references=4
    )


def test_both_thresholds_are_reached_when_equalled():
    assert verdict([0.9, 0.0], ANNA, ANNA).matched
    limits = replace(LIMITS, verification=0.6)
    assert verdict([1, 1, 1, 0, 0], *[ANNA] * 5, limits=limits).matched


def test_two_people_who_both_pass_within_the_margin_are_ambiguous():
    limits = replace(LIMITS, ambiguity_margin=0.21)
    found = verdict([1] * 9 + [0], *[ANNA] * 5, *[BEN] * 5, limits=limits)
    assert found.reason is Reason.AMBIGUOUS
    assert not found.matched
    assert found.person == ANNA


def test_a_lead_of_exactly_the_margin_is_enough():
    found = verdict([1] * 9 + [0], *[ANNA] * 5, *[BEN] * 5)
    assert found == Verdict(reason=Reason.MATCHED, person=ANNA, share=1.0, detections=5, references=5)


def test_a_tie_is_a_no_even_without_a_margin():
    assert verdict([1, 1], ANNA, BEN, limits=replace(LIMITS, ambiguity_margin=0.0)).reason is Reason.AMBIGUOUS


def test_somebody_close_who_does_not_pass_makes_no_ambiguity():
    limits = replace(LIMITS, verification=0.9, ambiguity_margin=0.5)
    assert verdict([1, 1, 1, 0], ANNA, ANNA, BEN, BEN, limits=limits).person == ANNA


def test_a_similarity_that_is_no_number_detects_nothing():
    assert verdict([float("nan")] * 3, *[ANNA] * 3).reason is Reason.NOT_RECOGNISED
    assert verdict([float("nan"), 1.0, 1.0], *[ANNA] * 3).detections == 2


def test_people_without_references_are_never_matched():
    assert verdict([1.0], BEN).person == BEN


def test_similarities_of_another_gallery_are_an_error_of_the_caller():
    with pytest.raises(ValueError, match="similarities"):
        match(np.zeros(3, np.float32), gallery(ANNA), LIMITS)


_rows = st.lists(
    st.tuples(
        st.sampled_from([ANNA, BEN, CHLOE]),
        st.floats(0, 1, width=32) | st.sampled_from([float("nan"), float("inf"), -1.0]),
    ),
    max_size=24,
)
_limits = st.builds(Thresholds, st.floats(0.01, 0.99), st.floats(0.01, 1.0), st.floats(0, 1))


@given(_rows, _limits)
def test_nobody_is_matched_below_the_verification_threshold(rows: list[tuple[Person, float]], limits: Thresholds):
    found = verdict([s for _, s in rows], *[p for p, _ in rows], limits=limits)
    if not found.matched:
        return
    mine = [s for p, s in rows if p == found.person]
    detected = sum(np.float32(s) >= np.float32(limits.detection) for s in mine)
    assert detected / len(mine) == found.share >= limits.verification
    for other in {p for p, _ in rows} - {found.person}:
        theirs = [np.float32(s) >= np.float32(limits.detection) for p, s in rows if p == other]
        assert np.mean(theirs) < found.share, "a person with the same share was passed over"


@given(_rows, _limits, st.randoms())
def test_the_order_of_the_references_does_not_matter(rows: list[tuple[Person, float]], limits: Thresholds, random):
    shuffled = random.sample(rows, len(rows))
    one, other = (verdict([s for _, s in r], *[p for p, _ in r], limits=limits) for r in (rows, shuffled))
    assert one == other


@given(_rows, _limits)
def test_raising_either_threshold_never_makes_a_match(rows: list[tuple[Person, float]], limits: Thresholds):
    owners, similarities = [p for p, _ in rows], [s for _, s in rows]
    if len(set(owners)) < 2 and not verdict(similarities, *owners, limits=limits).matched:
        for stricter in (replace(limits, detection=0.995), replace(limits, verification=1.0)):
            assert not verdict(similarities, *owners, limits=stricter).matched
