"""Visits are played as the daemon plays them: its own match, tracks, references and session on the same frames."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from training_doubles import ColourVerifier

from facelatch.adapters.fakes import FakeFinder
from facelatch.config.file import Config
from facelatch.config.line import QualityConfig
from facelatch.line import household, match, track
from facelatch.line.pipeline import Line
from facelatch.line.search import Pace
from facelatch.machines import session, session_states
from facelatch.values.observations import Judged, Reason, Thresholds, Unusable
from facelatch.values.pictures import Box, Face, Pose
from facelatch.values.records import Gallery, Person
from facelatch.vision import fusion
from facelatch_training.judge.attempts import (
    Rules,
    Similarities,
    Street,
    Visits,
    anybody,
    granted,
    matched,
    sample_visits,
)
from facelatch_training.judge.frames import VERSIONS, Frames, Ints, make_frames
from facelatch_training.judge.settings import (
    Sample,
    door_rules,
    false_grants,
    false_refusals,
    per_person,
    photographs_needed,
    try_settings,
)
from facelatch_training.judge.tracks import DRAWS, STILL, VARIED, VISIT_FRAMES, play_tracks

FACE = Face(Box(0, 0, 9, 9), np.zeros((5, 2), np.float32), 1.0)
SIMILARITIES = Similarities(detections=(0.3, 0.5), likeness=0.25, steady=0.4, lookalike=0.4)
E8 = 8


class DistanceVerifier:
    """The similarity falls with the L1 distance."""

    model_sha256 = "0" * 64

    def embed(self, crop: np.ndarray) -> np.ndarray:
        raise AssertionError("everything is embedded already")

    def compare(self, probe: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(-np.abs(gallery - probe).sum(axis=1) / 2), np.float32)


def frames_of(people: int, photos: int, *, apart: float, spread: float, seed: int = 0) -> Frames:
    """People whose looks differ by `apart`, their photographs by `spread`, the frames of one by a tenth of that."""
    rng = np.random.default_rng(seed)
    looks = rng.normal(0, apart, (people, 1, 1, E8)) + rng.normal(0, spread, (people, photos, 1, E8))
    shown = (looks + rng.normal(0, spread / 10, (people, photos, VERSIONS, E8))).astype(np.float32)
    every = shown.reshape(people * photos, VERSIONS, E8)
    return Frames(
        probes=every,
        references=every,
        weights=rng.uniform(0.2, 1.0, every.shape[:2]),
        photos=tuple(np.arange(people * photos).reshape(people, photos)),
        families=np.arange(people) // 2,
    )


def street_of(frames: Frames, seed: int = 0) -> Street:
    verifier = DistanceVerifier()
    return Street(verifier, frames, play_tracks(frames, verifier, SIMILARITIES.likeness, SIMILARITIES.steady, seed))


def line_by(similarities: Similarities, rules: Rules) -> Line:
    return Line(
        finder=FakeFinder(),
        verifier=DistanceVerifier(),
        quality=QualityConfig(),
        thresholds=Thresholds(
            detection=similarities.detections[0],
            verification=rules.verification,
            ambiguity_margin=rules.ambiguity_margin,
            likeness=similarities.likeness,
            steady=similarities.steady,
            lookalike=similarities.lookalike,
            lookalike_verification=rules.lookalike_verification,
        ),
        similar_size_ratio=0.6,
        pace=Pace(),
    )


def seen_by(line: Line, embedding: np.ndarray, weight: float, gallery: Gallery) -> Judged:
    similarities = line.verifier.compare(embedding, gallery.embeddings)
    return Judged(
        frame=0,
        track=0,
        frames=1,
        seconds=0.0,
        face=FACE,
        pose=Pose(0, 0, 0),
        verdict=match.match(similarities, gallery, line.thresholds),
        crop=np.zeros((112, 112, 3), np.uint8),
        embedding=embedding,
        similarities=similarities,
        weight=weight,
    )


def daemon_visit(
    line: Line, probes: np.ndarray, weights: np.ndarray, usable: np.ndarray, gallery: Gallery
) -> list[Judged | Unusable]:
    """What the line makes of the frames (F, D) of one visit; None for an unusable one."""
    tracks, out = track.Tracks(), []
    for number, (probe, weight, good) in enumerate(zip(probes, weights, usable, strict=True)):
        seen = seen_by(line, probe, weight, gallery) if good else Unusable(Reason.BLURRED, FACE)
        followed, tracks = track.follow(line, tracks, seen, number / 15, gallery)
        assert isinstance(followed, Judged | Unusable)
        out.append(followed)
    return out


def daemon_outcome(seen: list[Judged | Unusable]) -> int:
    """The place of whoever the session grants, or -1."""
    state, settings = session_states.Session(), Config().session
    for number, one in enumerate(seen):
        state = session.advance(state, one, number / 15, settings)
        if state.outcomes:
            ending = state.outcomes[-1]
            verdict = ending.verdict if ending.ending is session_states.Ending.GRANTED else None
            return verdict.person.id if verdict is not None and verdict.person is not None else -1
    return -1


def one_household(street: Street, members: Ints, rules: Rules, references: int, seed: int) -> tuple[Visits, list[int]]:
    """Simulated visits, and what the daemon makes of the same ones."""
    visits, _ = sample_visits(
        street, SIMILARITIES, lambda _rng: members, references=references, households=1, seed=seed
    )
    rng = np.random.default_rng([seed, references])
    draw = rng.integers(0, DRAWS, len(street.frames.photos))
    kept = [street.tracks.kept[one][draw[one]] for one in members]
    number = np.arange(references)
    rows = [street.frames.references[one[number % len(one)], number // len(one) % VERSIONS] for one in kept]
    gallery = Gallery(
        people={place: Person(place, str(place)) for place in range(len(members))},
        owners=tuple(np.repeat(np.arange(len(members)), references).tolist()),
        embeddings=np.concatenate(rows),
    )
    line = line_by(SIMILARITIES, rules)
    gallery = household.prepared(line, gallery)
    assert set(np.flatnonzero(visits.lookalike[0])) == gallery.lookalikes
    outcomes = []
    for person in range(len(street.frames.photos)):
        for kind in (STILL, VARIED):
            at = (person, draw[person], kind)
            tracks = street.tracks
            weights = np.ones(VISIT_FRAMES)
            outcomes.append(daemon_outcome(daemon_visit(line, tracks.single[at], weights, tracks.usable[at], gallery)))
    return visits, outcomes


@pytest.mark.parametrize(("verification", "lookalike"), [(0.25, 0.5), (0.5, 1.0), (0.75, 0.75), (1.0, 1.0)])
def test_visits_end_as_the_daemon_ends_them(verification: float, lookalike: float) -> None:
    """Everybody's visits to a gallery of four, through the daemon's own references, tracks, match and session."""
    frames = frames_of(25, 6, apart=0.35, spread=0.2, seed=int(verification * 4))
    frames = replace(frames, weights=np.ones_like(frames.weights))
    street = street_of(frames)
    assert street.tracks.number.max() > 0
    rules = replace(door_rules(verification, 3), lookalike_verification=lookalike)
    visits, expected = one_household(street, np.array([0, 1, 2, 3]), rules, 4, seed=3)
    outcome, when = granted(visits, rules)
    assert outcome.tolist() == expected
    assert (when[outcome >= 0] >= 2).all()
    if verification < 1:
        assert max(expected) >= 0
        assert min(expected) == -1


def test_frames_come_together_as_on_the_daemon_s_tracks() -> None:
    """Track by track and frame by frame: numbers, fused probes and outliers, with unusable frames in between."""
    frames = frames_of(12, 6, apart=0.5, spread=0.35)
    tracks = play_tracks(frames, DistanceVerifier(), 0.2, 0.45, 0)
    nobody = Gallery({}, (), np.zeros((0, E8), np.float32))
    line = line_by(replace(SIMILARITIES, likeness=0.2, steady=0.45), door_rules(0.5, 3))
    breaks = 0
    for at in np.ndindex(12, DRAWS, 2):
        weights = _weights_of(frames, tracks.single[at])
        states = track.Tracks()
        for number in np.flatnonzero(tracks.usable[at]):
            seen = seen_by(line, tracks.single[at][number], weights[number], nobody)
            followed, states = track.follow(line, states, seen, number / 15, nobody)
            assert isinstance(followed, Judged)
            assert followed.track == tracks.number[at][number] + 1
            current = states.current
            assert current is not None
            rows = np.stack([one.embedding for one in current.pictures])
            counts = np.array([one.weight for one in current.pictures])
            kept = fusion.belonging(rows, counts)
            np.testing.assert_allclose(fusion.fused(rows[kept], counts[kept]), tracks.fused[at][number], rtol=1e-5)
            assert tracks.odd[at][number] == (not kept[-1])
        breaks += int(tracks.number[at].max())
    assert breaks > 20


def _weights_of(frames: Frames, shown: np.ndarray) -> np.ndarray:
    """The weights (F,) of frames (F, D), looked up by what they are."""
    flat, weights = frames.probes.reshape(-1, E8), frames.weights.reshape(-1)
    return np.array([weights[np.abs(flat - one).sum(axis=1).argmin()] for one in shown])


def drawn(street: Street, enrolled: int, references: int, households: int = 10, seed: int = 0) -> Visits:
    _, visits = sample_visits(
        street, SIMILARITIES, anybody(street, enrolled, 2), references=references, households=households, seed=seed
    )
    return visits


APART = street_of(frames_of(12, 4, apart=3.0, spread=0.05))
"""People whom anybody can tell apart."""


def test_nobody_comes_to_the_door_in_a_photograph_they_were_enrolled_from() -> None:
    for person, draws in enumerate(APART.tracks.kept):
        for draw, kept in enumerate(draws):
            enrolled = APART.frames.probes[kept].reshape(-1, E8)
            shown = APART.tracks.single[person, draw].reshape(-1, E8)
            assert not (shown[:, None] == enrolled[None]).all(axis=2).any()


def test_strangers_are_not_in_the_gallery_and_owners_are() -> None:
    visits = drawn(APART, 5, 4)
    inside = visits.own >= 0
    assert inside.sum() == 10 * 5 * 2
    outcome, _ = granted(visits, door_rules(0.5, 3))
    np.testing.assert_array_equal(outcome, visits.own)
    assert not visits.related[inside].any()


def test_a_relative_is_a_stranger_of_whose_family_somebody_is_enrolled() -> None:
    """Families are pairs here, so with one person enrolled each visit but two is by nobody's relative."""
    visits = drawn(APART, 1, 4)
    visited = visits.visitor.reshape(10, 24)
    enrolled = visited[visits.own.reshape(10, 24) >= 0].reshape(10, 2)[:, :1]
    np.testing.assert_array_equal(visits.related.reshape(10, 24), visited == (enrolled ^ 1))


def test_a_still_visit_shows_one_photograph_and_a_varied_one_another_each_time() -> None:
    photo = np.repeat(np.arange(48), VERSIONS)
    flat = APART.frames.probes.reshape(-1, E8)
    for at in [(0, 0), (5, 3), (11, DRAWS - 1)]:
        still, varied = (
            [int(photo[np.abs(flat - one).sum(axis=1).argmin()]) for one in APART.tracks.single[*at, kind]]
            for kind in (STILL, VARIED)
        )
        assert len(set(still)) == 1
        assert all(one != other for one, other in pairwise(varied))


def test_dependence_between_frames_is_honoured() -> None:
    """A stranger who passes one still frame passes all: no number of frames cures a still visit."""
    street = street_of(frames_of(30, 4, apart=0.25, spread=0.05))
    visits = drawn(street, 5, 1, households=40)
    stranger = (visits.own < 0) & visits.still & (visits.usable.sum(axis=1) >= 3)
    rates = [(granted(visits, door_rules(1.0, required))[0][stranger] >= 0).mean() for required in (1, 3)]
    assert rates[0] > 0.02
    assert rates[1] == pytest.approx(rates[0], rel=0.2)


def test_more_references_and_a_higher_share_refuse_more_strangers() -> None:
    street = street_of(frames_of(30, 6, apart=0.3, spread=0.15))
    visits = drawn(street, 5, 4, households=30)
    tried = try_settings(Sample(visits, visits), 0.5, (3,))
    far = [setting.far_per_attempt for setting in tried]
    assert far == sorted(far, reverse=True)
    assert far[0] > far[-1]


def test_a_stricter_detection_threshold_detects_fewer_and_as_if_asked_alone() -> None:
    street = street_of(frames_of(12, 4, apart=0.3, spread=0.15))
    members = anybody(street, 4, 2)
    both = sample_visits(street, SIMILARITIES, members, references=4, households=3, seed=1)
    alone = replace(SIMILARITIES, detections=SIMILARITIES.detections[1:])
    (strict,) = sample_visits(street, alone, members, references=4, households=3, seed=1)
    np.testing.assert_array_equal(both[1].together, strict.together)
    assert (both[0].together >= both[1].together).all()
    assert both[0].together.sum() > both[1].together.sum() > 0


def test_frames_judged_together_refuse_fewer_of_the_enrolled() -> None:
    """Where photographs of a person differ by as much as people do."""
    street = street_of(frames_of(30, 6, apart=0.3, spread=0.15))
    visits = drawn(street, 5, 4, households=30)
    varied = (visits.own >= 0) & ~visits.still
    refused = {}
    for together in (True, False):
        outcome, _ = granted(visits, door_rules(0.5, 3, together=together))
        refused[together] = (outcome != visits.own)[varied].mean()
    assert refused[True] < refused[False]


def test_an_outlier_and_a_frame_of_somebody_else_are_no_evidence() -> None:
    visits = drawn(APART, 5, 4)
    rules = door_rules(0.5, 3)
    inside = (visits.own >= 0)[:, None] & visits.usable
    assert (matched(visits, rules) >= 0)[inside].all()
    assert (matched(replace(visits, odd=np.ones_like(visits.odd)), rules) < 0).all()
    assert (matched(replace(visits, alike=np.zeros_like(visits.alike)), rules) < 0).all()
    other = np.roll(visits.alone, 1, axis=2)
    assert (matched(replace(visits, alone=other), rules) < 0).all()


def test_a_new_track_begins_with_nothing() -> None:
    """Two frames, a jump, two frames: never three of one visitor."""
    visits = drawn(APART, 5, 4)
    usable = np.zeros_like(visits.usable)
    usable[:, :4] = True
    counts = np.where((visits.own >= 0)[:, None, None], np.eye(5, dtype=np.uint8)[visits.own][:, None] * 4, 0)
    same = np.broadcast_to(counts, visits.together.shape).astype(np.uint8)
    steady = replace(visits, usable=usable, together=same, alone=same, alike=same, track=np.zeros_like(visits.track))
    jumping = replace(steady, track=np.broadcast_to(np.arange(VISIT_FRAMES) // 2, visits.track.shape))
    inside = visits.own >= 0
    assert (granted(steady, door_rules(0.5, 3))[0] == visits.own)[inside].all()
    assert (granted(steady, door_rules(0.5, 3))[1] == 2)[inside].all()
    assert (granted(jumping, door_rules(0.5, 3))[0] < 0).all()


def test_a_person_granted_as_somebody_else_is_an_error() -> None:
    visits = drawn(APART, 5, 4, households=4)
    outcome = np.where(visits.own >= 0, (visits.own + 1) % 5, -1)
    assert false_grants(visits, outcome, visits.own < 0).max() == 0
    assert false_refusals(visits, outcome).min() == 1


def test_people_are_enrolled_from_as_many_photographs_as_enough_of_them_have() -> None:
    many, few = np.array([7] * 40 + [2] * 40), np.array([4] * 35 + [2] * 40)
    assert photographs_needed([many, many], 10) == 5
    assert photographs_needed([many, few], 10) == 4
    assert photographs_needed([many, few], 20) == 2


def test_frames_of_crops_are_the_photograph_and_versions_of_it() -> None:
    crops = np.random.default_rng(0).integers(60, 200, (6, 112, 112, 3), dtype=np.uint8)
    people = np.array([0, 0, 1, 1, 1, 2])
    verifier = ColourVerifier()
    frames = make_frames(verifier, crops, people, people // 2, 0)
    assert verifier.embedded == 2 * 6 * VERSIONS
    assert [len(one) for one in frames.photos] == [2, 3, 1]
    assert frames.families.tolist() == [0, 0, 1]
    assert sorted(map(tuple, frames.probes[:, 0])) == sorted(tuple(verifier.embed(crop)) for crop in crops)
    assert (np.ptp(frames.probes, axis=1).max(axis=1) > 0).all()
    assert ((frames.weights > 0) & (frames.weights <= 1)).all()


def test_the_people_of_a_gallery_can_visit_it_without_strangers() -> None:
    members = anybody(APART, 5, 2)
    whole, own = (
        sample_visits(APART, SIMILARITIES, members, references=4, households=3, seed=0, strangers=some)[1]
        for some in (True, False)
    )
    assert len(own.visitor) == 3 * 5 * 2
    assert (own.own >= 0).all()
    for column in ("together", "alone", "alike"):
        first = getattr(whole, column)[:24][whole.own[:24] >= 0]
        assert sorted(first.tolist()) == sorted(getattr(own, column)[:10].tolist())


def test_a_rate_weighs_every_person_alike() -> None:
    rates = per_person(np.array([7, 7, 7, 9]), np.array([True, False, False, True]))
    np.testing.assert_allclose(rates, [1 / 3, 1.0])
