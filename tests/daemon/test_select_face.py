"""Whom the line judges when several faces are in view."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facelatch.values.observations import NoFace, SeveralFaces
from facelatch.values.pictures import Box, Face
from facelatch.vision.select_face import select


def face(size: float, height: float | None = None) -> Face:
    return Face(Box(0, 0, size, size if height is None else height), np.zeros((5, 2), np.float32), 0.9)


def test_nobody_in_view_is_no_face():
    assert select([], 0.6) == NoFace()


def test_the_only_face_is_chosen():
    only = face(30)
    assert select([only], 0.6) is only


@pytest.mark.parametrize("reverse", [False, True])
def test_the_nearest_of_two_is_chosen_when_the_other_is_clearly_smaller(reverse: bool):
    near, far = face(100), face(59)
    assert select([far, near][:: -1 if reverse else 1], 0.6) is near


def test_two_faces_of_similar_size_are_no_decision():
    assert select([face(100), face(60)], 0.6) == SeveralFaces(count=2)


def test_people_in_the_background_do_not_count_among_the_similar():
    assert select([face(100), face(90), face(20), face(80)], 0.6) == SeveralFaces(count=3)


def test_size_is_the_mean_of_both_sides():
    wide = face(200, 50)
    assert select([wide, face(55)], 0.6) is wide


@pytest.mark.parametrize("broken", [face(float("nan")), face(-5), face(0), face(float("inf"))])
def test_a_box_that_is_none_is_nobody(broken: Face):
    sound = face(10)
    assert select([broken], 0.6) == NoFace()
    assert select([broken, sound], 0.6) is sound


@given(st.lists(st.floats(allow_nan=True) | st.floats(1, 500), max_size=6), st.floats(0.01, 1.0))
def test_a_choice_is_always_alone_at_its_size(sizes: list[float], ratio: float):
    faces = [face(size) for size in sizes]
    chosen = select(faces, ratio)
    if isinstance(chosen, Face):
        others = [f.box.width for f in faces if f is not chosen and f.box.width < float("inf")]
        assert all(other < ratio * chosen.box.width * (1 + 1e-9) for other in others if other > 0)
    else:
        assert isinstance(chosen, (NoFace, SeveralFaces))
