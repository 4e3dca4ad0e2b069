"""Faces that had their visit and have not moved since: seen, not judged, and beside nobody."""

from __future__ import annotations

import numpy as np

from facelatch.line.background import GONE_SECONDS, POSTER_SECONDS, Background, hide, retire
from facelatch.values.pictures import Box, Face
from facelatch.vision.align import TEMPLATE


def face(x: float = 100.0, y: float = 60.0, size: float = 112.0, nose: float = 0.0) -> Face:
    """A face whose nose is turned by `nose` px."""
    landmarks = TEMPLATE * (size / 112) + np.array([x, y])
    landmarks[2, 0] += nose
    return Face(Box(x, y, size, size), landmarks.astype(np.float32), 0.9)


PORTRAIT = face()
HUNG = retire(Background(), PORTRAIT, track=7, now=100.0)


def test_a_picture_that_hangs_still_is_hidden_and_its_track_is_in_view() -> None:
    shown, background = hide(HUNG, [face(102.0, 61.0, 114.0)], 101.0)
    assert (shown, background.tracks) == ([], {7})


def test_a_visitor_beside_it_is_alone() -> None:
    visitor = face(300.0, 50.0, 130.0)
    shown, _ = hide(HUNG, [PORTRAIT, visitor], 101.0)
    assert shown == [visitor]


def test_who_moves_grows_or_turns_the_head_is_a_visitor_again() -> None:
    for moved in (face(108.0), face(size=130.0), face(nose=15.0)):
        shown, background = hide(HUNG, [moved], 101.0)
        assert (shown, background.tracks) == ([moved], frozenset())


def test_a_visitor_who_walks_past_it_uncovers_what_is_still_background() -> None:
    """Seen beside it first, then before it for longer than a face that is gone is remembered."""
    background, now = HUNG, 101.0
    for x in (260.0, 200.0, *[140.0] * 50, 60.0):
        now += 0.1
        shown, background = hide(background, [face(x, 90.0, 130.0)], now)
        assert len(shown) == 1
    leaving = face(-60.0, 90.0, 130.0)
    shown, background = hide(background, [PORTRAIT, leaving], now + 0.1)
    assert (shown, background.tracks) == ([leaving], {7})


def test_who_was_judged_moves_and_comes_back_to_the_very_place_is_no_background() -> None:
    """The face in view just before a visit ended is the one that now waits."""
    _, background = hide(Background(), [PORTRAIT], 99.9)
    background = retire(background, PORTRAIT, track=7, now=100.0)
    shown, background = hide(background, [face(120.0)], 100.1)
    assert (len(shown), background.tracks) == (1, frozenset())
    assert hide(background, [PORTRAIT], 100.2)[0] == [PORTRAIT]


def test_a_face_that_is_gone_is_forgotten_after_a_moment() -> None:
    _, covered = hide(HUNG, [], 100.0 + GONE_SECONDS)
    assert covered.tracks == {7}
    _, gone = hide(covered, [], 100.1 + GONE_SECONDS)
    assert gone.tracks == frozenset()


def test_after_a_minute_it_is_a_poster_worth_a_word() -> None:
    background = HUNG
    for second in range(round(POSTER_SECONDS) + 1):
        assert background.posters == 0
        _, background = hide(background, [PORTRAIT], 100.0 + second)
    assert background.posters == 1


def test_memory_is_bounded() -> None:
    background = Background()
    for number in range(100):
        background = retire(background, face(x=number * 200.0), track=number, now=100.0)
    assert len(background.faces) < 10
