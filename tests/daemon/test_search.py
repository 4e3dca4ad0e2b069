"""Where the face is looked for next."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from facelatch.line.search import Pace, Plan, Search, Where, after_search, plan, region_about, thumbnail
from facelatch.values.pictures import Box, Face

PACE = Pace(busy_seconds=0.2, idle_seconds=1.0)
STILL = np.full((240, 320, 3), 90, np.uint8)
FACE = Face(Box(100, 80, 40, 50), np.zeros((5, 2), np.float32), 0.9)


def moved_picture() -> np.ndarray:
    image = STILL.copy()
    image[60:180, 100:200] = 200
    return image


def settled() -> Search:
    """An empty scene that has not moved for a while, searched just before 10 s."""
    state = Search()
    for step in range(100):
        state, what = plan(state, STILL, step / 10, PACE)
        state = after_search(state, what, [], step / 10)
    return state


def following(now: float) -> Search:
    state, what = plan(Search(), STILL, now, PACE)
    return after_search(state, what, [FACE], now)


def test_the_first_frame_is_searched_whole():
    assert plan(Search(), STILL, 5.0, PACE)[1] == Plan(Where.WHOLE)


def test_an_unmoving_empty_scene_is_searched_at_the_idle_rate_only():
    state, searches = settled(), 0
    for step in range(100, 400):
        state, what = plan(state, STILL, step / 10, PACE)
        state = after_search(state, what, [], step / 10)
        searches += what.where is Where.WHOLE
    assert 27 <= searches <= 31  # thirty seconds


def test_motion_brings_a_search_within_the_busy_interval():
    state = settled()
    now, waited = 10.0, 0
    while plan(state, moved_picture(), now, PACE)[1].where is not Where.WHOLE:
        now, waited = now + 0.05, waited + 1
    assert now - 10.0 <= 0.2


def test_a_change_of_light_counts_as_motion_and_is_then_forgotten():
    state, now = settled(), 10.0
    bright = np.full_like(STILL, 160)
    state, _ = plan(state, bright, now, PACE)
    assert state.moved == now
    for step in range(200):
        state, _ = plan(state, bright, now + step / 10, PACE)
    assert state.moved < now + 10


def test_noise_is_not_motion():
    rng = np.random.default_rng(3)
    state, now = Search(), 0.0
    for step in range(200):
        noisy = np.clip(STILL + rng.normal(0, 14, STILL.shape), 0, 255).astype(np.uint8)
        state, _ = plan(state, noisy, now + step / 10, PACE)
    assert state.moved == 0.0  # the first frame, which has nothing to be compared with


def test_a_face_is_followed_in_a_region_about_it():
    state = following(10.0)
    _, what = plan(state, STILL, 10.1, PACE)
    assert what.where is Where.REGION
    assert what.region is not None
    assert what.region.x <= 100
    assert what.region.x + what.region.width >= 140
    assert what.region.width * what.region.height < 0.5 * 320 * 240


def test_while_following_the_whole_picture_is_searched_at_the_busy_rate():
    assert plan(following(10.0), STILL, 10.21, PACE)[1].where is Where.WHOLE


def test_a_lost_face_is_looked_for_in_the_whole_picture_with_the_next_frame():
    state = following(10.0)
    state, what = plan(state, STILL, 10.1, PACE)
    state = after_search(state, what, [], 10.1)
    for step in range(2, 10):
        now = 10.0 + step / 10
        state, what = plan(state, STILL, now, PACE)
        assert what.where is Where.WHOLE
        state = after_search(state, what, [], now)


def test_a_face_gone_for_long_is_forgotten():
    state = following(10.0)
    state, _ = plan(state, STILL, 12.0, PACE)
    assert state.last_face is None


def test_of_several_faces_the_largest_is_followed():
    small = Face(Box(10, 10, 20, 25), FACE.landmarks, 0.99)
    assert after_search(Search(), Plan(Where.WHOLE), [small, FACE], 1.0).last_face == FACE.box


sizes = st.integers(1, 60)


@settings(max_examples=150, deadline=None)
@given(
    sizes,
    sizes,
    st.lists(st.tuples(st.floats(0.01, 3), st.booleans(), st.integers(0, 255)), max_size=25),
)
def test_no_sequence_leaves_a_picture_unsearched_for_longer_than_the_idle_interval(width, height, turns):
    state, now, searched = Search(), 0.0, -np.inf
    for gap, seen, level in turns:
        now += gap
        image = np.full((height, width, 3), level, np.uint8)
        state, what = plan(state, image, now, PACE)
        if what.where is Where.NOWHERE:
            assert now - searched < PACE.idle_seconds
        else:
            searched = now
        if what.where is Where.REGION:
            assert what.region is not None
            assert what.region.width > 0
            assert what.region.height > 0
        state = after_search(state, what, [FACE] if seen else [], now)


finite = st.floats(-1e4, 1e4)


@given(finite, finite, st.floats(0, 1e4), st.floats(0, 1e4), st.integers(1, 4000), st.integers(1, 3000))
def test_a_region_lies_inside_the_picture_wherever_the_face_was(x, y, w, h, width, height):
    region = region_about(Box(x, y, w, h), width, height)
    slack = 1e-6 * max(width, height)
    assert region.x >= -slack
    assert region.y >= -slack
    assert region.x + region.width <= width + slack
    assert region.y + region.height <= height + slack
    assert region.width > 0
    assert region.height > 0


def test_a_thumbnail_is_small_whatever_the_picture():
    for shape in ((1, 1, 3), (3, 5, 3), (240, 320, 3), (3000, 4000, 3)):
        small = thumbnail(np.zeros(shape, np.uint8))
        assert small.shape[0] <= 30
        assert small.shape[1] <= 40
