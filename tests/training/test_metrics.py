"""Error rates against brute force, and what the intervals must do."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facelatch_training.judge.intervals import bootstrap, mean_interval
from facelatch_training.judge.metrics import (
    FAILED,
    Comparisons,
    Ranked,
    best_threshold,
    fold_correct,
    ranked,
    reliability,
)

scores = st.lists(st.integers(0, 20).map(lambda n: n / 20), min_size=1, max_size=40)


def table(genuine: list[float], impostor: list[float]) -> Ranked:
    return Ranked(np.array(genuine, np.float32), np.array(impostor, np.float32))


def brute_tar(genuine: list[float], impostor: list[float], far: float) -> float:
    """Tries every threshold there can be."""
    best = 0.0
    for threshold in [0.0, *np.float32([*genuine, *impostor]), 2.0]:
        false = sum(np.float32(s) >= threshold for s in impostor) / len(impostor)
        if false <= far + 1e-12:
            best = max(best, sum(np.float32(s) >= threshold for s in genuine) / len(genuine))
    return best


@given(scores, scores, st.sampled_from([0.0, 0.01, 0.1, 0.25, 0.5]))
@settings(max_examples=200, deadline=None)
def test_tar_at_far_is_the_best_of_all_thresholds(
    genuine: list[float], impostor: list[float], far: float
) -> None:
    assert table(genuine, impostor).tar_at(far) == pytest.approx(brute_tar(genuine, impostor, far))


@given(scores, scores)
@settings(max_examples=200, deadline=None)
def test_auc_is_the_share_of_won_duels(genuine: list[float], impostor: list[float]) -> None:
    duels = [1.0 if g > i else 0.5 if g == i else 0.0 for g in genuine for i in impostor]
    assert table(genuine, impostor).auc() == pytest.approx(float(np.mean(duels)))


@given(scores, scores, st.floats(0, 1, width=32))
@settings(max_examples=100, deadline=None)
def test_rates_count_what_they_say(genuine: list[float], impostor: list[float], threshold: float) -> None:
    curve = table(genuine, impostor)
    assert curve.fmr(threshold) == pytest.approx(np.mean(np.float32(impostor) >= np.float32(threshold)))
    assert curve.fnmr(threshold) == pytest.approx(np.mean(np.float32(genuine) < np.float32(threshold)))


@given(scores, scores)
@settings(max_examples=100, deadline=None)
def test_the_threshold_for_an_fmr_keeps_it(genuine: list[float], impostor: list[float]) -> None:
    curve = table(genuine, impostor)
    for rate in (0.0, 0.1, 0.3):
        assert curve.fmr(curve.threshold_at(rate)) <= rate + 1e-9


def test_eer_of_two_gaussians_is_the_tail_beyond_the_middle() -> None:
    """Means two standard deviations apart: both errors are the normal tail beyond one, 15.87 %."""
    rng = np.random.default_rng(1)
    genuine = rng.normal(0.7, 0.1, 40_000).clip(0, 1).astype(np.float32)
    impostor = rng.normal(0.5, 0.1, 40_000).clip(0, 1).astype(np.float32)
    assert Ranked(genuine, impostor).eer() == pytest.approx(0.1587, abs=0.005)


def test_separated_scores_have_no_errors() -> None:
    curve = table([0.8, 0.9], [0.1, 0.2])
    assert (curve.eer(), curve.auc(), curve.tar_at(0.0)) == (0.0, 1.0, 1.0)


def test_swapped_scores_have_all_errors() -> None:
    curve = table([0.1, 0.2], [0.8, 0.9])
    assert (curve.eer(), curve.auc(), curve.tar_at(0.0)) == (1.0, 0.0, 0.0)


def test_a_weight_of_two_is_the_comparison_twice() -> None:
    genuine, impostor = np.float32([0.3, 0.6, 0.9]), np.float32([0.1, 0.4, 0.7])
    weighed = Ranked(genuine, impostor)
    weighed.weigh(np.array([2.0, 1.0, 1.0]), np.array([1.0, 1.0, 2.0]))
    doubled = table([0.3, 0.3, 0.6, 0.9], [0.1, 0.4, 0.7, 0.7])
    assert weighed.auc() == pytest.approx(doubled.auc())
    assert weighed.tar_at(0.25) == pytest.approx(doubled.tar_at(0.25))
    assert weighed.fnmr(0.5) == pytest.approx(doubled.fnmr(0.5))
    assert weighed.precision(0.5) == pytest.approx(doubled.precision(0.5))


@given(scores, scores)
@settings(max_examples=100, deadline=None)
def test_the_best_threshold_is_no_worse_than_any_other(genuine: list[float], impostor: list[float]) -> None:
    similarity = np.float32([*genuine, *impostor])
    labels = np.array([True] * len(genuine) + [False] * len(impostor))

    def accuracy(threshold: float) -> float:
        return float(np.mean((similarity >= threshold) == labels))

    best = accuracy(best_threshold(similarity, labels))
    assert best >= max(accuracy(value) for value in np.linspace(0, 1, 41)) - 1e-9


def made(people: int, images: int, seed: int = 0) -> Comparisons:
    """All comparisons of drawn people whose pictures scatter around their own point."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(people), images)
    points = rng.normal(size=(people, 6))[owner] + rng.normal(size=(people * images, 6)) * 0.6
    left, right = np.triu_indices(len(owner), 1)
    distance = np.sqrt(((points[left] - points[right]) ** 2).sum(axis=1))
    first, second = owner[left].astype(np.int32), owner[right].astype(np.int32)
    return Comparisons(
        similarity=np.exp(-distance / 2).astype(np.float32),
        genuine=first == second,
        first=first,
        second=second,
    )


def test_accuracy_by_folds_never_uses_the_fold_it_judges() -> None:
    """A fold whose labels are all turned round is judged wholly wrong by the threshold of the others."""
    similarity = np.float32([0.9, 0.1] * 20)
    genuine = np.array([True, False] * 10 + [False, True] * 10)
    people = np.arange(40, dtype=np.int32)
    fold = np.repeat(np.arange(4), 10).astype(np.int16)
    turned = Comparisons(
        similarity=similarity,
        genuine=genuine,
        first=people,
        second=people + 40,
        fold=fold,
    )
    upright = Comparisons(
        similarity=similarity,
        genuine=np.array([True, False] * 20),
        first=people,
        second=people + 40,
        fold=fold,
    )
    assert fold_correct(upright).all()
    one_turned = np.where(fold == 0, ~upright.genuine, upright.genuine)
    lone = Comparisons(
        similarity=similarity,
        genuine=one_turned,
        first=people,
        second=people + 40,
        fold=fold,
    )
    assert not fold_correct(lone)[fold == 0].any()
    assert fold_correct(lone)[fold != 0].all()
    assert 0 < fold_correct(turned).mean() < 1


def test_failed_pictures_refuse_genuine_and_impostor_alike() -> None:
    people = np.arange(4, dtype=np.int32)
    curve = ranked(
        Comparisons(
            similarity=np.float32([0.9, FAILED, 0.1, FAILED]),
            genuine=np.array([True, True, False, False]),
            first=people,
            second=people + 4,
        )
    )
    assert curve.fnmr(0.0) == 0.5
    assert curve.fmr(0.0) == 0.5
    assert curve.tar_at(0.5) == 0.5


def test_intervals_hold_the_value_and_shrink_with_more_people() -> None:
    figures = {"auc": Ranked.auc, "tar": lambda curve: curve.tar_at(0.01)}
    few, many = bootstrap(made(10, 5), figures, resamples=200), bootstrap(made(80, 5), figures, resamples=200)
    for interval in (*few.values(), *many.values()):
        assert interval.low <= interval.value <= interval.high
    assert many["tar"].high - many["tar"].low < few["tar"].high - few["tar"].low


def test_intervals_are_wider_over_identities_than_over_pairs() -> None:
    """Resampling pairs as if they were independent would promise too much."""
    drawn = made(20, 12)
    honest = bootstrap(drawn, {"fnmr": lambda curve: curve.fnmr(0.4)}, resamples=300)["fnmr"]
    outcome = drawn.similarity[drawn.genuine] < 0.4
    naive = 1.96 * np.sqrt(outcome.mean() * (1 - outcome.mean()) / len(outcome))
    assert (honest.high - honest.low) / 2 > naive


def test_intervals_repeat_with_their_seed() -> None:
    drawn = made(12, 4)
    right = (drawn.similarity >= 0.4) == drawn.genuine
    assert mean_interval(drawn, right, seed=3) == mean_interval(drawn, right, seed=3)
    assert mean_interval(drawn, right, seed=3) != mean_interval(drawn, right, seed=4)


def test_reliability_of_honest_probabilities_has_no_error() -> None:
    rng = np.random.default_rng(5)
    similarity = rng.random(200_000).astype(np.float32)
    genuine = rng.random(200_000) < similarity
    people = np.zeros(200_000, np.int32)
    assert (
        reliability(
            Comparisons(
                similarity=similarity,
                genuine=genuine,
                first=people,
                second=people,
            )
        ).error
        < 0.02
    )
    assert (
        reliability(
            Comparisons(
                similarity=similarity**4,
                genuine=genuine,
                first=people,
                second=people,
            )
        ).error
        > 0.2
    )


def test_a_large_set_takes_seconds() -> None:
    """Two million comparisons with 20 resamples; the thinned rest must not change the value."""
    drawn = made(400, 5)
    started = time.perf_counter()
    intervals = bootstrap(drawn, {"auc": Ranked.auc, "tar": lambda r: r.tar_at(1e-3)}, resamples=20)
    assert time.perf_counter() - started < 30
    assert intervals["auc"].low <= intervals["auc"].value <= intervals["auc"].high


def test_one_class_alone_has_no_error_rates() -> None:
    with pytest.raises(ValueError, match="genuine and impostor"):
        Ranked(np.float32([]), np.float32([0.5]))
