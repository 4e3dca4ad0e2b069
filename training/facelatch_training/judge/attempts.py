"""Visits to a door, sampled from photographs: who is let in when the line and the session see many frames.

Frames of one visitor resemble each other, and so do a visitor's photographs, so the chance of a false grant is no
product of single chances: whole attempts are drawn and played through, by the rules of `facelatch.line.match`,
`facelatch.line.track` and `facelatch.machines.session`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from facelatch.ports import Verifier
from facelatch.vision import fusion
from facelatch_training.judge.frames import VERSIONS, Floats, Frames, Ints
from facelatch_training.judge.tracks import DRAWS, MOST_AT_THE_DOOR, STILL, VARIED, Tracks

Counts = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]
Members = Callable[[np.random.Generator], Ints]
"""Draws the people (E,) of one gallery."""


@dataclass(frozen=True)
class Similarities:
    """From which similarity something counts."""

    detections: tuple[float, ...]
    """Detection thresholds to try, ascending."""
    likeness: float
    steady: float
    lookalike: float


@dataclass(frozen=True)
class Rules:
    """How the door decides."""

    verification: float
    required: int
    """Matching frames of one track."""
    refusal_frames: int
    ambiguity_margin: float
    lookalike_verification: float = 0.0
    """The verification threshold of people with a look-alike, where it is higher."""
    together: bool = True
    """Whether the frames of a track are judged together, or each by itself."""


@dataclass(frozen=True, eq=False)
class Visits:
    """A visits of F frames to galleries of E people: how many references of each person are detected."""

    visitor: Ints = field(repr=False)
    """(A,) number of the person at the door."""
    own: Ints = field(repr=False)
    """(A,) the visitor's place in the gallery, -1 for strangers."""
    related: Bools = field(repr=False)
    """(A,) a stranger of whose family somebody is enrolled."""
    still: Bools = field(repr=False)
    """(A,) one photograph only."""
    full: Bools = field(repr=False)
    """(A,) the visitor has MOST_AT_THE_DOOR photographs there: enough for a visit to be varied."""
    usable: Bools = field(repr=False)
    """(A, F)."""
    track: Ints = field(repr=False)
    """(A, F)."""
    odd: Bools = field(repr=False)
    """(A, F) an outlier of its track."""
    together: Counts = field(repr=False)
    """(A, F, E) references that all pictures of the track together detect."""
    alone: Counts = field(repr=False)
    """(A, F, E) references that the frame by itself detects."""
    alike: Counts = field(repr=False)
    """(A, F, E) references that the frame by itself is alike to."""
    lookalike: Bools = field(repr=False)
    """(A, E) people with a look-alike in the gallery."""
    references: int
    """Of each person in the gallery."""


@dataclass(frozen=True, eq=False)
class Street:
    """Who may live behind a door and come to it, as a verifier sees them."""

    verifier: Verifier
    frames: Frames
    tracks: Tracks


def anybody(street: Street, enrolled: int, photographs: int) -> Members:
    """Galleries of people with so many photographs or more, whoever they are to each other."""
    able = street.frames.people_with(photographs)
    return lambda rng: rng.choice(able, enrolled, replace=False)


def sample_visits(
    street: Street,
    similarities: Similarities,
    members: Members,
    *,
    references: int,
    households: int,
    seed: int,
    halfway: bool = True,
    strangers: bool = True,
) -> list[Visits]:
    """Draws galleries of the people that `members` names, with so many references each, and everybody as visitor, or
    without `strangers` the people of the gallery.

    Returns the visits once for each detection threshold. People are enrolled from the photographs that are not at the
    door. Everybody not enrolled comes as a stranger. `halfway`: whether references are moved towards what those of a
    person have in common, as the line does.
    """
    rng = np.random.default_rng([seed, references])
    bar = tqdm(range(households), desc="visits", unit="gallery", leave=False, disable=None)
    drawn = []
    for _ in bar:
        enrolled, draw = members(rng), rng.integers(0, DRAWS, len(street.frames.photos))
        home = _home(street, enrolled, draw, references, halfway=halfway)
        visitors = np.arange(len(draw)) if strangers else enrolled
        drawn.append(_household(street, similarities, home, visitors, draw))
    return [_joined(one) for one in zip(*drawn, strict=True)]


def matched(visits: Visits, rules: Rules) -> Ints:
    """(A, F) the place in the gallery of whoever each frame is evidence for, -1 for nobody: `match` and `track`."""
    stricter = max(rules.verification, rules.lookalike_verification)
    needed = np.where(visits.lookalike, stricter, rules.verification).astype(np.float32)
    alone = _matches(visits.alone, visits.references, needed, rules.ambiguity_margin)
    if not rules.together:
        return alone
    found = _matches(visits.together, visits.references, needed, rules.ambiguity_margin)
    place = np.maximum(found, 0)[:, :, None]
    alike = np.take_along_axis(visits.alike, place, axis=2)[:, :, 0] / visits.references
    supported = alike >= np.take_along_axis(needed[:, None], place, axis=2)[:, :, 0] - 1e-6
    supported &= ((alone < 0) | (alone == found)) & ~visits.odd
    return np.where(supported, found, -1)


def granted(visits: Visits, rules: Rules) -> tuple[Ints, Ints]:
    """(A,) the place in the gallery of whoever was granted, -1 for a refusal, and on which frame: `session` in bulk."""
    size = len(visits.visitor)
    person, count, unmatched = np.full(size, -1), np.zeros(size, np.int64), np.zeros(size, np.int64)
    track, outcome, when, over = np.full(size, -1), np.full(size, -1), np.full(size, -1), np.zeros(size, bool)
    for frame, now in enumerate(matched(visits, rules).T):
        judged, followed = visits.usable[:, frame], visits.track[:, frame] == track
        track = np.where(judged, visits.track[:, frame], track)
        goes_on = followed & (now == person)
        count = np.where(judged, np.where(now < 0, 0, np.where(goes_on, count + 1, 1)), count)
        unmatched += judged & ((now < 0) | ((person >= 0) & (now != person)))
        person = np.where(judged, now, person)
        grant = judged & ~over & (count >= rules.required)
        outcome[grant], when[grant] = now[grant], frame
        over |= grant | (unmatched >= rules.refusal_frames)
    return outcome, when


def _matches(counts: Counts, references: int, needed: Floats, margin: float) -> Ints:
    """(A, F) who passes: counts (A, F, E) of detections against the share (A, E) that each person needs."""
    shares = counts / np.float32(references)
    best = shares.argmax(axis=2)[:, :, None]
    top = np.take_along_axis(shares, best, axis=2)[:, :, 0]
    np.put_along_axis(shares, best, -1.0, axis=2)
    second = shares.argmax(axis=2)[:, :, None]
    runner_up = np.maximum(np.take_along_axis(shares, second, axis=2)[:, :, 0], 0.0)
    needs, second_needs = (np.take_along_axis(needed[:, None], one, axis=2)[:, :, 0] for one in (best, second))
    lead = top - runner_up
    tied = (runner_up >= second_needs - 1e-6) & ((lead <= 1e-6) | (lead < margin - 1e-6))
    return np.where((top > 0) & (top >= needs - 1e-6) & ~tied, best[:, :, 0], -1)


@dataclass(frozen=True, eq=False)
class _Home:
    """A gallery: E people with R references each."""

    enrolled: Ints
    raw: Floats
    """(E, R, D) as the model made them."""
    gallery: Floats
    """(E R, D) as they are compared with."""


def _home(street: Street, enrolled: Ints, draw: Ints, references: int, *, halfway: bool) -> _Home:
    kept = [street.tracks.kept[one][draw[one]] for one in enrolled]
    raw = np.stack([references_of(street.frames, photos, references) for photos in kept])
    rows = raw.reshape(len(enrolled) * references, -1)
    owners = np.repeat(np.arange(len(enrolled)), references)
    return _Home(enrolled, raw, fusion.halfway(rows, owners) if halfway else rows)


def _household(
    street: Street, similarities: Similarities, home: _Home, visitors: Ints, draw: Ints
) -> list[Visits]:
    """The still and the varied visit of each of the `visitors` to one gallery, for each detection threshold."""
    tracks, verifier, (size, references) = street.tracks, street.verifier, home.raw.shape[:2]
    at = (visitors, draw[visitors])
    usable = tracks.usable[at].reshape(2 * len(visitors), -1)
    alone, together = (
        _similar(verifier, home.gallery, probes[at], usable) for probes in (tracks.single, tracks.fused)
    )

    def count(similar: Floats, threshold: float) -> Counts:
        detected = (similar >= np.float32(threshold)).reshape(*usable.shape, size, references)
        return np.asarray(detected.sum(axis=-1), np.uint8)

    place = np.full(len(draw), -1)
    place[home.enrolled] = np.arange(size)
    families = street.frames.families
    related = (place < 0) & np.isin(families, families[home.enrolled])
    known = _lookalikes(verifier, home.raw, similarities.lookalike)
    alike = count(alone, similarities.likeness)
    return [
        Visits(
            visitor=np.repeat(visitors, 2),
            own=np.repeat(place[visitors], 2),
            related=np.repeat(related[visitors], 2),
            still=np.tile([kind == STILL for kind in (STILL, VARIED)], len(visitors)),
            full=np.repeat(tracks.at_the_door[visitors] == MOST_AT_THE_DOOR, 2),
            usable=usable,
            track=tracks.number[at].reshape(usable.shape),
            odd=tracks.odd[at].reshape(usable.shape),
            together=count(together, detection),
            alone=count(alone, detection),
            alike=alike,
            lookalike=np.broadcast_to(known, (2 * len(visitors), size)),
            references=references,
        )
        for detection in similarities.detections
    ]


def _similar(verifier: Verifier, gallery: Floats, probes: Floats, usable: Bools) -> Floats:
    """Similarities (A, F, N) of probes (P, 2, F, D) to a gallery (N, D); 0 where a frame is not usable."""
    rows = np.flatnonzero(usable)
    shown = probes.reshape(usable.size, -1)[rows]
    found = np.zeros((usable.size, len(gallery)), np.float32)
    # L1 distance has no direction, and one reference against all probes is one call in place of thousands.
    found[rows] = np.stack([verifier.compare(one, shown) for one in gallery], axis=1)
    return found.reshape(*usable.shape, len(gallery))


def references_of(frames: Frames, photos: Ints, count: int) -> Floats:
    """`count` references spread over the photographs; more than there are photographs: further frames of them."""
    number = np.arange(count)
    return np.asarray(frames.references[photos[number % len(photos)], number // len(photos) % VERSIONS])


def _lookalikes(verifier: Verifier, references: Floats, threshold: float) -> Bools:
    """(E,) who of the people with references (E, R, D) has a look-alike among them: `household` in bulk."""
    middles = np.stack([fusion.middle(one) for one in references])
    alike = np.stack([verifier.compare(one, middles) >= np.float32(threshold) for one in middles])
    np.fill_diagonal(alike, False)
    return np.asarray(alike.any(axis=1))


def _joined(parts: Sequence[Visits]) -> Visits:
    columns = {
        one.name: np.concatenate([getattr(part, one.name) for part in parts])
        for one in fields(Visits)
        if one.name != "references"
    }
    return Visits(references=parts[0].references, **columns)
