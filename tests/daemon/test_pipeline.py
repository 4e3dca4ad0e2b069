"""The line: from a frame to exactly one observation, with a scripted finder and a verifier that knows colours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facelatch.adapters.fakes import FakeFinder, FakeVerifier
from facelatch.config.line import QualityConfig
from facelatch.line import pipeline
from facelatch.line.pipeline import Line
from facelatch.line.search import Pace, Search
from facelatch.values.observations import Judged, NoFace, Reason, SeveralFaces, Thresholds, Unusable
from facelatch.values.pictures import Box, Face, Frame, Image
from facelatch.values.records import Gallery, Person
from facelatch.vision.align import TEMPLATE

FACE = Face(Box(100, 60, 112, 112), (TEMPLATE + np.array([100, 60])).astype(np.float32), 0.9)
ALICE, BOB = (200, 90, 60), (60, 110, 190)
NOBODY = Gallery({}, (), np.zeros((0, 3), np.float32))


def line(*script: tuple[Face, ...]) -> Line:
    return Line(
        finder=FakeFinder(*script),
        verifier=FakeVerifier(),
        quality=QualityConfig(),
        thresholds=Thresholds(detection=0.5, verification=0.6, ambiguity_margin=0.2),
        similar_size_ratio=0.6,
        pace=Pace(busy_seconds=0.2, idle_seconds=1.0),
    )


def picture(colour: tuple[int, int, int] = ALICE) -> Image:
    noise = np.random.default_rng(5).integers(-50, 51, (240, 320, 1))
    return np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)


def gallery(*colours: tuple[int, int, int]) -> Gallery:
    people = {number: Person(number, f"person-{number}") for number in range(len(colours))}
    owners = tuple(number for number in people for _ in range(3))
    return Gallery(people, owners, np.repeat(np.array(colours, np.float32) / 255, 3, axis=0))


def frame(image: Image, *, at: float = 0.0, number: int = 0) -> Frame:
    return Frame(image, image, at, number)


def test_a_known_face_is_judged_a_match_with_everything_filled() -> None:
    """Crop, embedding, one similarity a reference, verdict."""
    seen = pipeline.observe(line(), frame(picture()), [FACE], gallery(ALICE, BOB))
    assert isinstance(seen, Judged)
    assert seen.verdict.matched
    assert seen.verdict.person == Person(0, "person-0")
    assert seen.crop.shape == (112, 112, 3)
    assert seen.similarities.shape == (6,)
    assert seen.draft_share is None


def test_a_stranger_is_judged_no_match() -> None:
    """A good picture of nobody enrolled."""
    seen = pipeline.observe(line(), frame(picture((20, 200, 90))), [FACE], gallery(ALICE, BOB))
    assert isinstance(seen, Judged)
    assert seen.verdict.reason is Reason.NOT_RECOGNISED


def test_an_empty_gallery_says_so() -> None:
    """The installer must learn that nobody is enrolled, not that the face is unknown."""
    seen = pipeline.observe(line(), frame(picture()), [FACE], NOBODY)
    assert isinstance(seen, Judged)
    assert seen.verdict.reason is Reason.NOBODY_ENROLLED


def test_during_an_enrolment_the_share_of_the_draft_is_told() -> None:
    """One crop of the same colour and one of another: half."""
    draft = [np.array(colour, np.float32) / 255 for colour in (ALICE, BOB)]
    seen = pipeline.observe(line(), frame(picture()), [FACE], NOBODY, draft)
    assert isinstance(seen, Judged)
    assert seen.draft_share == pytest.approx(0.5)


def test_no_face_several_faces_and_a_dark_face_each_say_so() -> None:
    """Each with its own observation."""
    beside = replace(FACE, box=Box(0, 0, 110, 110))
    assert isinstance(pipeline.observe(line(), frame(picture()), [], NOBODY), NoFace)
    assert isinstance(pipeline.observe(line(), frame(picture()), [FACE, beside], NOBODY), SeveralFaces)
    dark = pipeline.observe(line(), frame(picture() // 40), [FACE], NOBODY)
    assert isinstance(dark, Unusable)
    assert dark.reason is Reason.TOO_DARK


def test_landmarks_that_allow_no_alignment_are_unusable() -> None:
    """Five equal points are no face; nothing is embedded."""
    flat = replace(FACE, landmarks=np.zeros((5, 2), np.float32))
    assert isinstance(pipeline.observe(line(), frame(picture()), [flat], gallery(ALICE)), Unusable)


def test_a_find_in_the_small_picture_is_moved_to_the_large_one() -> None:
    """The crop comes from the large picture: coordinates are scaled."""
    small = picture()
    large = np.repeat(np.repeat(small, 4, axis=0), 4, axis=1)
    faces, *_ = pipeline.look(line((FACE,)), Frame(large, small, 0.0, 0), Search())
    assert faces[0].box == Box(400, 240, 448, 448)
    assert faces[0].landmarks == pytest.approx(FACE.landmarks * 4)


def test_the_close_up_replaces_the_landmarks_only_for_the_same_face() -> None:
    """A second look that lands on somebody else is ignored."""
    nearer = replace(FACE, box=Box(105, 62, 110, 112), score=0.8)
    elsewhere = replace(FACE, box=Box(10, 10, 40, 40), score=0.99)

    class Near(FakeFinder):
        def find_near(self, image: Image, region: Box) -> list[Face]:
            return [elsewhere, nearer]

    chosen = replace(line(), finder=Near((FACE,)))
    assert pipeline.close_up(chosen, picture(), FACE) is nearer
    only_elsewhere = replace(chosen, finder=FakeFinder((elsewhere,)))
    assert pipeline.close_up(only_elsewhere, picture(), FACE) is FACE


def test_nobody_in_view_costs_one_search_a_second() -> None:
    """With a still picture the finder rests."""
    chosen = line(())
    state = Search()
    for number in range(150):
        _, state, _ = pipeline.look(chosen, frame(picture(), at=number / 15, number=number), state)
    assert isinstance(chosen.finder, FakeFinder)
    assert chosen.finder.calls <= 2 / 0.2 + 10 + 2


@given(
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.lists(st.floats(-1e4, 1e4, allow_nan=False), min_size=10, max_size=10),
    st.tuples(*[st.floats(-1e3, 1e3) for _ in range(4)]),
)
def test_no_picture_and_no_find_raises(
    size: tuple[int, int], points: list[float], box: tuple[float, float, float, float]
) -> None:
    """Whatever a finder claims about whatever picture, one observation comes out."""
    image = np.full((*size, 3), 120, np.uint8)
    face = Face(Box(*box), np.array(points, np.float32).reshape(5, 2), 0.9)
    seen = pipeline.observe(line((face,)), frame(image), [face], gallery(ALICE))
    assert isinstance(seen, NoFace | SeveralFaces | Unusable | Judged)


class OneSided(FakeFinder):
    """Two people of one size; the region about one of them does not show the other."""

    def find(self, image: Image) -> tuple[Face, ...]:
        return FACE, replace(FACE, box=Box(220, 60, 100, 112))

    def find_near(self, image: Image, region: Box) -> tuple[Face, ...]:
        return (FACE,) if region.x < 180 else (replace(FACE, box=Box(220, 60, 100, 112)),)


def test_two_people_are_no_decision_on_any_frame_between_the_whole_searches_either() -> None:
    """At 30 frames a second a grant fits between two whole searches: the region must not hide the second."""
    chosen = replace(line(), finder=OneSided())
    state = Search()
    for number in range(30):
        shown = frame(picture(), at=number / 30, number=number)
        faces, state, _ = pipeline.look(chosen, shown, state)
        assert isinstance(pipeline.observe(chosen, shown, faces, gallery(ALICE)), SeveralFaces), number
