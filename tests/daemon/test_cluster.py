"""Which pictures of a set are of one person."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from facelatch.line.cluster import alike, cluster


def groups(*labels: int) -> np.ndarray:
    """Pictures are alike that have the same label; 0 is alike to none."""
    names = np.array(labels)
    return (names[:, None] == names) & (names[:, None] != 0) & ~np.eye(len(names), dtype=bool)


@pytest.mark.parametrize(
    ("labels", "inside", "split"),
    [
        ((1, 1, 1, 1, 1, 1, 1, 2), (0, 1, 2, 3, 4, 5, 6), False),
        ((2, 1, 1, 0, 1, 1, 2, 1), (1, 2, 4, 5, 7), False),
        ((1, 1, 1, 1, 2, 2, 2, 2), (0, 1, 2, 3), True),
        ((1, 1, 2, 2, 3, 3), (0, 1), True),
        ((1, 1), (0, 1), False),
        ((0, 0), (), True),
        ((0, 0, 0), (), True),
        ((0,), (0,), False),
        ((), (), True),
    ],
)
def test_the_larger_group_is_inside_and_half_is_not_enough(
    labels: tuple[int, ...], inside: tuple[int, ...], split: bool
) -> None:
    """What is outside is named; where nobody can tell who is meant, nobody is."""
    found = cluster(groups(*labels), 0.4)
    assert (found.inside, found.split) == (inside, split)
    assert found.outside == tuple(place for place in range(len(labels)) if place not in inside)


def test_a_bridge_does_not_join_two_people() -> None:
    """One picture of the second person that is alike to one of the first brings nobody in."""
    pictures = groups(1, 1, 1, 1, 1, 2, 2, 2)
    pictures[4, 5] = pictures[5, 4] = True
    found = cluster(pictures, 0.4)
    assert (found.inside, found.split) == ((0, 1, 2, 3, 4), False)


@pytest.mark.parametrize(
    ("new", "inside", "split"),
    [((1, 1), (0, 1), False), ((1, 2), (0,), True), ((1, 1, 2), (0, 1), False), ((2, 2, 2), (), True)],
)
def test_pictures_to_be_added_are_measured_by_those_that_are_there(
    new: tuple[int, ...], inside: tuple[int, ...], split: bool
) -> None:
    """However many they are: the person is not outvoted."""
    found = cluster(groups(1, 1, *new), 0.4, settled=2)
    assert (found.inside, found.split) == (inside, split)


@given(st.integers(0, 12).flatmap(lambda n: arrays(bool, (n, n))), st.floats(0.01, 1), st.integers(0, 12))
def test_every_picture_is_inside_or_outside_and_never_fewer_than_half_pass(
    drawn: np.ndarray, share: float, settled: int
) -> None:
    """Whatever is alike to what: total, each once, and a set that passes has more inside than outside."""
    both = (drawn | drawn.T) & ~np.eye(len(drawn), dtype=bool)
    settled = min(settled, len(both))
    found = cluster(both, share, settled)
    assert sorted((*found.inside, *found.outside)) == list(range(len(both) - settled))
    assert found.split or len(found.inside) > len(found.outside)


def test_alike_is_mutual_and_nobody_is_alike_to_itself() -> None:
    """The network may call one a detection of the other and not the other way round."""
    similarity = np.array([[1, 0.9, 0.2], [0.1, 1, np.nan], [0.5, 0.1, 1]], np.float32)
    embeddings = np.arange(3, dtype=np.float32)[:, None]
    found = alike(lambda probe, _others: similarity[int(probe[0])], embeddings, 0.5)
    assert found.tolist() == [[False, True, True], [True, False, False], [True, False, False]]
