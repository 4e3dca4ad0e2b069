"""A visitor is a track: what its pictures say together, and that nobody inherits another one's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facelatch.adapters.fakes import FakeFinder
from facelatch.config.file import Config
from facelatch.config.line import QualityConfig
from facelatch.line import household, match, track
from facelatch.line.pipeline import Line
from facelatch.line.search import Pace
from facelatch.line.track import LOST_SECONDS, Tracks
from facelatch.machines import session, session_states
from facelatch.values.observations import (
    Judged,
    NoFace,
    Observation,
    Reason,
    SeveralFaces,
    Thresholds,
    Unusable,
)
from facelatch.values.pictures import Box, Face, Image, Pose
from facelatch.values.records import Gallery, Person
from facelatch.vision.align import TEMPLATE
from facelatch.vision.fusion import MOST_PICTURES

D = 16
LIMITS = Thresholds(
    detection=0.6,
    verification=0.5,
    ambiguity_margin=0.2,
    likeness=0.3,
    lookalike=0.45,
    lookalike_verification=1.0,
)
FACE = Face(Box(100, 60, 112, 112), (TEMPLATE + np.array([100, 60])).astype(np.float32), 0.9)


class AngleVerifier:
    """Likeness is the cosine; pictures are given as embeddings."""

    model_sha256 = "0" * 64

    def embed(self, crop: Image) -> np.ndarray:
        raise AssertionError("a track looks at no crops")

    def compare(self, probe: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        lengths = np.linalg.norm(gallery, axis=1) * np.linalg.norm(probe)
        return np.asarray(np.clip(gallery @ probe / lengths, 0, 1), np.float32)


LINE = Line(
    finder=FakeFinder(),
    verifier=AngleVerifier(),
    quality=QualityConfig(),
    thresholds=LIMITS,
    similar_size_ratio=0.6,
    pace=Pace(busy_seconds=0.2, idle_seconds=1.0),
)


def looks(person: int, off: float = 0.0, direction: int = D - 1) -> np.ndarray:
    """An embedding of a person, turned away from the usual by the angle whose tangent is `off`."""
    vector = np.zeros(D, np.float32)
    vector[person], vector[direction] = 1.0, off
    return vector / np.linalg.norm(vector)


def gallery_of(*people: int, off: float = 0.0) -> Gallery:
    """Each with four references, two and two turned the one way and the other."""
    members = {number: Person(number, f"person-{number}") for number in people}
    owners = tuple(number for number in people for _ in range(4))
    rows = [looks(number, off, D - 2 - way) for number in people for way in (0, 0, 1, 1)]
    return Gallery(people=members, owners=owners, embeddings=np.stack(rows))


def judged(embedding: np.ndarray, gallery: Gallery, *, box: Box = FACE.box, weight: float = 1.0) -> Judged:
    """As the pipeline judges one picture."""
    similarities = LINE.verifier.compare(embedding, gallery.embeddings)
    return Judged(
        frame=0,
        track=0,
        frames=1,
        seconds=0.0,
        face=replace(FACE, box=box),
        pose=Pose(0.0, 0.0, 0.0),
        verdict=match.match(similarities, gallery, LIMITS),
        crop=np.zeros((112, 112, 3), np.uint8),
        embedding=embedding,
        similarities=similarities,
        weight=weight,
    )


def watch(seen: list[Observation], gallery: Gallery, *, every: float = 1 / 15, line: Line = LINE) -> list[Observation]:
    """What a track makes of observations, one each `every` seconds."""
    tracks, out = Tracks(), []
    for number, observation in enumerate(seen):
        followed, tracks = track.follow(line, tracks, observation, number * every, gallery)
        out.append(followed)
    return out


def judgements(seen: list[Observation]) -> list[Judged]:
    return [one for one in seen if isinstance(one, Judged)]


HOME = gallery_of(0, 1, 2)
BETWEEN = st.sampled_from(
    [[], [Unusable(Reason.BLURRED, FACE)], [NoFace()], [SeveralFaces(2)], [Unusable(Reason.TOO_DARK, FACE), NoFace()]]
)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.floats(0, 0.6), st.floats(0.1, 1.0), BETWEEN), min_size=1, max_size=20),
    st.sampled_from([1 / 15, 0.3, 0.9]),
)
def test_nobody_inherits_what_somebody_else_has_collected(
    frames: list[tuple[int, float, float, list[Observation]]], every: float
) -> None:
    """Faces swap in one place between any two frames, also behind unusable ones: each begins with one picture."""
    seen: list[Observation] = []
    who: list[int] = []
    for person, off, weight, between in frames:
        seen += [*between, judged(looks(person, off), HOME, weight=weight)]
        who.append(person)
    found = judgements(watch(seen, HOME, every=every))
    since_swap, numbers = 0, []
    for place, (person, one) in enumerate(zip(who, found, strict=True)):
        swapped = place > 0 and who[place - 1] != person
        since_swap = 1 if swapped or place == 0 else since_swap + 1
        if swapped:
            assert one.track not in numbers
        numbers.append(one.track)
        assert 1 <= one.frames <= min(since_swap, MOST_PICTURES)
        if one.verdict.matched:
            assert one.verdict.person == HOME.people[person]
    assert numbers == sorted(numbers)


def grants(seen: list[Observation], line: Line, gallery: Gallery) -> list[tuple[int, int]]:
    """Frame and person of each grant that the session gives for what a track makes of observations, 15 a second."""
    state, given = session_states.Session(), []
    for number, observation in enumerate(watch(seen, gallery, line=line)):
        state = session.advance(state, observation, number / 15, Config().session)
        for outcome in state.outcomes:
            if outcome.ending is session_states.Ending.GRANTED:
                assert outcome.verdict is not None
                assert outcome.verdict.person is not None
                given.append((number, outcome.verdict.person.id))
    return given


@given(
    st.lists(st.tuples(st.integers(0, 3), st.lists(st.floats(0, 0.6), min_size=1, max_size=5), BETWEEN), max_size=9),
    st.sampled_from([None, 0.85]),
)
def test_a_grant_rests_on_frames_of_that_person_only(
    turns: list[tuple[int, list[float], list[Observation]]], steady: float | None
) -> None:
    """Three enrolled people and a stranger take turns before the door as they like, also behind unusable frames."""
    line = replace(LINE, thresholds=replace(LIMITS, steady=steady))
    seen: list[Observation] = []
    who: dict[int, int] = {}
    for person, offs, between in turns:
        for off in offs:
            who[len(seen)] = person
            seen.append(judged(looks(person, off), HOME))
        seen += between
    for number, person in grants(seen, line, HOME):
        before = [who[one] for one in who if one <= number]
        assert before[-Config().session.required_matches :] == [person] * Config().session.required_matches
        assert person != 3


@given(st.integers(0, 12), st.lists(st.floats(0, 0.05), min_size=2, max_size=12), BETWEEN, st.floats(0.75, 1.5))
def test_a_double_does_not_go_on_where_an_enrolled_person_stopped(
    count: int, before: list[float], between: list[Observation], unlike: float
) -> None:
    """Somebody a little alike, who would be taken for another picture of the same person of two that differ, after
    frames as a camera has them: not one of theirs is on that track.
    """
    line = replace(LINE, thresholds=replace(LIMITS, steady=0.85))
    own: list[Observation] = [judged(looks(0, off), HOME) for off in before]
    double: list[Observation] = [judged(looks(0, unlike), HOME)] * (count + 1)
    assert LIMITS.likeness is not None
    assert looks(0, unlike) @ looks(0) > LIMITS.likeness
    found = judgements(watch([*own, *between, *double], HOME, line=line))
    assert {one.track for one in found[: len(own)]}.isdisjoint(one.track for one in found[len(own) :])
    assert all(one.frames <= place + 1 for place, one in enumerate(found[len(own) :]))


def test_pictures_that_each_say_nothing_are_the_person_together() -> None:
    """Turned one way, then the other: neither is a detection, what they share is."""
    home = gallery_of(0, 1)
    sides = [judged(looks(0, 1.5, D - 5 - way), home) for way in range(3)]
    assert not any(one.verdict.matched for one in sides)
    lenient = replace(LINE, thresholds=replace(LIMITS, likeness=0.2))
    first, second, third = judgements(watch(list(sides), home, line=lenient))
    assert (first.verdict.matched, first.frames, first.seconds) == (False, 1, 0.0)
    assert second.frames == 2
    assert (third.verdict.matched, third.frames, third.track) == (True, 3, first.track)
    assert third.seconds == pytest.approx(2 / 15)
    assert third.similarities.max() > max(one.similarities.max() for one in sides)


def test_after_pictures_like_a_camera_s_one_that_is_only_a_little_alike_is_somebody_else() -> None:
    """It would have been the same visitor where those before differed, too."""
    home = gallery_of(0, 1)
    strict = replace(LINE, thresholds=replace(LIMITS, steady=0.9))
    one, other = judged(looks(0), home), judged(looks(0, 1.5), home)
    assert [seen.track for seen in judgements(watch([one, other, one], home, line=strict))] == [1, 1, 1]
    assert [seen.track for seen in judgements(watch([one, one, other, one], home, line=strict))] == [1, 1, 2, 2]
    blurred = Unusable(Reason.BLURRED, FACE)
    assert [seen.track for seen in judgements(watch([one, one, blurred, other], home, line=strict))] == [1, 1, 2]


def test_a_picture_that_looks_like_another_person_contradicts() -> None:
    """It may belong to the track by a model that is easily pleased, and is no evidence all the same."""
    home = gallery_of(0, 1)
    easy = replace(LINE, thresholds=replace(LIMITS, likeness=0.01))
    between = looks(0) * 0.35 + looks(1) * 0.9
    seen: list[Observation] = [judged(looks(0), home)] * 3
    *_, last = judgements(watch([*seen, judged(between / np.linalg.norm(between), home)], home, line=easy))
    assert last.track == 1
    assert last.verdict.reason is Reason.CONTRADICTED
    assert last.verdict.person == home.people[0]
    assert not last.verdict.matched


def test_a_picture_unlike_the_rest_is_left_out_and_is_no_evidence() -> None:
    """The finder was wrong once: what the others say stands, and counts again with the next good one."""
    home = gallery_of(0, 1)
    easy = replace(LINE, thresholds=replace(LIMITS, likeness=0.01))
    good: Observation = judged(looks(0, 0.1), home)
    odd: Observation = judged(looks(0, 20.0, 5), home)
    *_, wrong, after = judgements(watch([good, good, good, odd, good], home, line=easy))
    assert (wrong.verdict.reason, wrong.frames) == (Reason.CONTRADICTED, 3)
    assert (after.verdict.reason, after.frames) == (Reason.MATCHED, 4)


def test_at_most_the_newest_pictures_count_and_none_from_before_a_pause() -> None:
    """A memory of half a second; whoever was not to be seen well for longer begins anew, as the same visitor."""
    one = judged(looks(0), HOME)
    found = judgements(watch([one] * 20, HOME))
    assert [seen.frames for seen in found] == [*range(1, MOST_PICTURES), *[MOST_PICTURES] * (21 - MOST_PICTURES)]
    blurred = [Unusable(Reason.BLURRED, FACE)] * (int(LOST_SECONDS * 15) + 1)
    *_, after = judgements(watch([one, one, *blurred, one], HOME))
    assert (after.track, after.frames, after.seconds) == (1, 1, 0.0)


def test_a_jump_ends_the_track_even_of_the_same_face() -> None:
    """By place: beside, or of quite another size; not by a step."""
    start, step = judged(looks(0), HOME), judged(looks(0), HOME, box=Box(160, 80, 120, 120))
    beside, near = judged(looks(0), HOME, box=Box(300, 60, 112, 112)), judged(looks(0), HOME, box=Box(30, 0, 250, 250))
    assert [one.track for one in judgements(watch([start, step, start], HOME))] == [1, 1, 1]
    assert [one.track for one in judgements(watch([start, beside], HOME))] == [1, 2]
    assert [one.track for one in judgements(watch([start, near], HOME))] == [1, 2]
    elsewhere = Unusable(Reason.BLURRED, replace(FACE, box=Box(300, 60, 112, 112)))
    assert [one.track for one in judgements(watch([start, elsewhere, start], HOME))] == [1, 2]
    assert [one.track for one in judgements(watch([start, SeveralFaces(2), start], HOME))] == [1, 2]


def test_a_face_that_is_lost_for_a_moment_is_the_same_visitor() -> None:
    """For so long that a camera of one picture a second can follow; then the next is a new one."""
    one, lost = judged(looks(0), HOME), int(LOST_SECONDS * 15)
    assert [seen.track for seen in judgements(watch([one, *[NoFace()] * (lost - 1), one], HOME))] == [1, 1]
    assert [seen.track for seen in judgements(watch([one, *[NoFace()] * (lost + 1), one], HOME))] == [1, 2]


def test_a_model_that_was_calibrated_for_frames_judges_frames() -> None:
    """A manifest of before: the verdict is that of the picture, the track is followed by detections."""
    single = replace(LINE, thresholds=replace(LIMITS, likeness=None))
    one, turned = judged(looks(0), HOME), judged(looks(0, 2.0), HOME)
    found = judgements(watch([one, one, turned], HOME, line=single))
    assert [seen.frames for seen in found] == [1, 1, 1]
    assert [seen.track for seen in found] == [1, 1, 2]
    assert found[1].verdict == one.verdict
    assert household.prepared(single, HOME) is HOME


def test_references_are_moved_towards_what_they_share_and_lookalikes_are_known() -> None:
    """Person 1 and person 2 share most of their looks; removing one frees the other."""
    rows = np.stack([looks(0, 0.5), looks(0, 0.5, 9), looks(1, 0.5), looks(1, 0.5, 9), *[looks(1, 1.0, 2)] * 2])
    people = {number: Person(number, str(number)) for number in range(3)}
    home = Gallery(people=people, owners=(0, 0, 1, 1, 2, 2), embeddings=rows)
    ready = household.prepared(LINE, home)
    assert ready.lookalikes == {1, 2}
    assert (ready.embeddings[:2] @ looks(0) > rows[:2] @ looks(0)).all()
    fewer = Gallery(people=people, owners=(0, 0, 1, 1), embeddings=rows[:4])
    assert household.prepared(LINE, fewer).lookalikes == frozenset()


def test_a_lookalike_needs_a_larger_share() -> None:
    """Three of four references will do for anybody else."""
    similarities = np.array([0.9, 0.9, 0.9, 0.1, 0, 0, 0, 0], np.float32)
    home = gallery_of(0, 1)
    assert match.match(similarities, home, LIMITS).matched
    alike = replace(home, lookalikes=frozenset({0}))
    assert match.match(similarities, alike, LIMITS).reason is Reason.TOO_FEW_DETECTIONS
    assert match.match(np.where(similarities > 0, np.float32(0.9), 0), alike, LIMITS).matched
