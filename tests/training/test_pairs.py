"""Pairs: balanced, honest about who is who, and hard where asked."""

from __future__ import annotations

import numpy as np
import pytest

from facelatch_training.batches.pairs import PairSampler
from facelatch_training.recipe import tiny_recipe

LABELS = np.repeat(np.arange(12), 3)
FAMILIES = np.repeat([0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9], 3)


def embeddings() -> np.ndarray:
    """People 10 and 11 look alike, and so do the relatives 0 and 1."""
    centres = np.random.default_rng(0).standard_normal((12, 16)).astype(np.float32)
    centres[11], centres[1] = centres[10] + 0.01, centres[0] + 0.01
    return centres[LABELS]


def test_half_of_the_pairs_are_genuine_and_every_label_is_true() -> None:
    pairs = PairSampler(LABELS, FAMILIES, embeddings()).draw(200, np.random.default_rng(1))
    assert pairs.same.sum() == 100
    assert np.array_equal(LABELS[pairs.anchor] == LABELS[pairs.validation], pairs.same)
    assert (pairs.anchor != pairs.validation).all()


def test_the_same_seed_draws_the_same_pairs() -> None:
    sampler = PairSampler(LABELS, FAMILIES, embeddings())
    first, second, other = (sampler.draw(50, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first.anchor, second.anchor)
    assert np.array_equal(first.validation, second.validation)
    assert not np.array_equal(first.validation, other.validation)


def test_relatives_appear_in_the_share_asked_for() -> None:
    pairs = PairSampler(LABELS, FAMILIES).draw(2000, np.random.default_rng(3), relatives=0.5, nearest=0.0)
    impostors = ~pairs.same
    kin = FAMILIES[pairs.anchor] == FAMILIES[pairs.validation]
    assert kin[impostors].mean() == pytest.approx(0.5, abs=0.06)


def test_nearest_strangers_are_alike_but_never_relatives() -> None:
    sampler = PairSampler(LABELS, FAMILIES, embeddings())
    pairs = sampler.draw(4000, np.random.default_rng(4), relatives=0.0, nearest=1.0)
    impostors = np.flatnonzero(~pairs.same)
    kin = FAMILIES[pairs.anchor[impostors]] == FAMILIES[pairs.validation[impostors]]
    assert not kin.any()


def test_among_many_people_the_look_alike_is_among_the_nearest() -> None:
    labels = np.repeat(np.arange(200), 2)
    centres = np.random.default_rng(5).standard_normal((200, 32)).astype(np.float32)
    centres[150] = centres[7] + 0.05
    sampler = PairSampler(labels, labels, centres[labels])
    pairs = sampler.draw(20_000, np.random.default_rng(6), relatives=0.0, nearest=1.0)
    met = set(zip(labels[pairs.anchor].tolist(), labels[pairs.validation].tolist(), strict=True))
    assert (7, 150) in met
    partners = {b for a, b in met if a == 7 and b != 7}
    assert len(partners) <= 20


def test_people_with_one_image_never_make_a_genuine_pair() -> None:
    labels = np.array([0, 1, 2, 2])
    pairs = PairSampler(labels, labels).draw(100, np.random.default_rng(7))
    assert (labels[pairs.anchor[pairs.same]] == 2).all()


class Shelf:
    """Crops that remember in which order they were read."""

    def __init__(self) -> None:
        self.read: list[int] = []

    def __len__(self) -> int:
        return len(LABELS)

    def __getitem__(self, number: int, /) -> np.ndarray:
        self.read.append(number)
        return np.full((112, 112, 3), number, np.uint8)


def test_a_streamed_round_reads_every_crop_once_in_the_order_of_the_shards() -> None:
    pytest.importorskip("keras")
    from facelatch_training.fitting.siamese import PairBatches

    sampler, recipe, shelf = PairSampler(LABELS, FAMILIES), tiny_recipe(), Shelf()
    streamed = PairBatches(shelf, sampler, recipe.model_copy(update={"stream": True}), 4, 3)
    mapped = PairBatches(Shelf(), sampler, recipe, 4, 3)
    for number in range(3):
        ((a, b), same), ((c, d), alike) = streamed[number], mapped[number]
        assert np.array_equal(a, c)
        assert np.array_equal(b, d)
        assert np.array_equal(same, alike)
    assert shelf.read == sorted(set(shelf.read))
