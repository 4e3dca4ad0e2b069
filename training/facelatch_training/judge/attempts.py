"""Visits to a door, sampled from photographs: who is let in when the session machine sees many frames.

Frames of one visitor resemble each other, and so do a visitor's photographs, so the chance of a false grant is no
product of single chances: whole attempts are drawn and played through. Two kinds of visit stand for the two ends of
dependence: in a *still* visit all frames are one photograph with a little movement and noise, in a *varied* one every
frame is another photograph of the visitor (as far as there are any).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from facelatch.ports import Verifier
from facelatch.values.pictures import Image
from facelatch_training.judge.slices import frame_noise
from facelatch_training.judge.verifiers import embed_both

Ints = npt.NDArray[np.int64]

VERSIONS = 4
"""Frames made of one photograph: the photograph itself, and three with movement, light and noise."""
VISIT_FRAMES = 24
"""The longest visit that is played; a session decides long before."""
MAX_PHOTOS = 12
"""Photographs used of one person, so that few much-photographed people do not fill the memory."""


@dataclass(frozen=True, eq=False)
class FrameSet:
    """M = photographs x VERSIONS frames; `detected` says of each, as a probe, which references it detects."""

    detected: npt.NDArray[np.bool_] = field(repr=False)
    """(M, M), probe by reference."""
    photos: tuple[tuple[Ints, ...], ...] = field(repr=False)
    """Per person, per photograph, the numbers of its frames (VERSIONS,)."""
    families: Ints = field(repr=False)
    """(P,) number of each person's family."""


@dataclass(frozen=True, eq=False)
class Visits:
    """A visits of F frames each: per frame the share of detections of the two best people."""

    visitor: Ints = field(repr=False)
    """(A,) number of the person at the door."""
    own: Ints = field(repr=False)
    """(A,) the visitor's place in the gallery, -1 for strangers."""
    related: npt.NDArray[np.bool_] = field(repr=False)
    """(A,) a stranger of whose family somebody is enrolled."""
    still: npt.NDArray[np.bool_] = field(repr=False)
    """(A,) one photograph only."""
    best: Ints = field(repr=False)
    """(A, F) place in the gallery of the best share."""
    share: npt.NDArray[np.float32] = field(repr=False)
    """(A, F) that share."""
    runner_up: npt.NDArray[np.float32] = field(repr=False)
    """(A, F) the second best person's share."""


def make_frames(
    verifier: Verifier,
    crops: npt.NDArray[np.uint8],
    people: Ints,
    families: Ints,
    thresholds: Sequence[float],
    seed: int,
) -> Iterator[FrameSet]:
    """Frames of crops (N, 112, 112, 3) with the person (N,) each shows and whose family (N,) that is, compared with one
    another.

    Yields them once for each of the detection `thresholds`, which ascend.
    """
    rng = np.random.default_rng([seed, 0x6672616D])
    chosen = np.sort(
        np.concatenate(
            [rng.permutation(np.flatnonzero(people == person))[:MAX_PHOTOS] for person in np.unique(people)]
        )
    )
    frames: list[Image] = []
    photos: dict[int, list[Ints]] = {}
    family_of: dict[int, int] = {}
    for row in chosen:
        family_of[int(people[row])] = int(families[row])
        photos.setdefault(int(people[row]), []).append(np.arange(VERSIONS) + len(frames))
        frames.append(crops[row])
        frames += [frame_noise(crops[row], rng) for _ in range(VERSIONS - 1)]
    embedded = embed_both(verifier, np.stack(frames))
    levels = np.array(thresholds, np.float32)
    reached = np.stack(
        [
            np.searchsorted(levels, verifier.compare(row, embedded.references), side="right").astype(np.uint8)
            for row in tqdm(embedded.probes, desc="compare", unit="frame", leave=False, disable=None)
        ]
    )
    groups = tuple(tuple(group) for group in photos.values())
    for number in range(len(levels)):
        yield FrameSet(reached > number, groups, np.array([family_of[person] for person in photos]))


def sample_visits(frames: FrameSet, *, enrolled: int, references: int, households: int, seed: int) -> Visits:
    """Draws `households` galleries of `enrolled` people with `references` each, and everybody as visitor.

    People are enrolled from half of their photographs and come to the door with the others. Everybody not
    enrolled comes as a stranger. More people than `enrolled` must have two photographs.
    """
    rng = np.random.default_rng([seed, enrolled, references])
    able = np.array([person for person, photos in enumerate(frames.photos) if len(photos) > 1])
    drawn = [_household(frames, able, enrolled, references, rng) for _ in range(households)]
    return Visits(*(np.concatenate(part) for part in zip(*drawn, strict=True)))


def granted(
    visits: Visits, *, verification: float, required: int, refusal_frames: int, ambiguity_margin: float
) -> Ints:
    """(A,) the place in the gallery of whoever was granted, -1 for a refusal: `match` and `session` in bulk."""
    lead = visits.share - visits.runner_up
    passes = (visits.share >= verification - 1e-6) & (visits.share > 0)
    tied = (visits.runner_up >= verification - 1e-6) & ((lead <= 1e-6) | (lead < ambiguity_margin - 1e-6))
    matched = np.where(passes & ~tied, visits.best, -1)
    size = len(visits.visitor)
    person, count, unmatched = np.full(size, -1), np.zeros(size, np.int64), np.zeros(size, np.int64)
    outcome, decided = np.full(size, -1), np.zeros(size, bool)
    for matches in matched.T:
        count = np.where(matches < 0, 0, np.where(matches == person, count + 1, 1))
        unmatched += (matches < 0) | ((person >= 0) & (matches != person))
        person = matches
        grant = ~decided & (count >= required)
        outcome[grant] = matches[grant]
        decided |= grant | (unmatched >= refusal_frames)
    return outcome


def _household(
    frames: FrameSet, able: Ints, enrolled: int, references: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.generic], ...]:
    members = rng.choice(able, enrolled, replace=False)
    place = {int(person): number for number, person in enumerate(members)}
    gallery: list[Ints] = [np.zeros(0, np.int64)] * enrolled
    probes: list[Ints] = []
    visitors: list[tuple[int, int, bool, bool]] = []
    homes = set(frames.families[members].tolist())
    for person, photos in enumerate(frames.photos):
        shuffled = [photos[number] for number in rng.permutation(len(photos))]
        at_door = shuffled
        if person in place:
            at_door, kept = shuffled[: len(photos) // 2], shuffled[len(photos) // 2 :]
            gallery[place[person]] = _references(kept, references)
        for still in (True, False):
            pool = np.stack(at_door[:1] if still else at_door)
            picks = rng.integers((len(pool), VERSIONS), size=(VISIT_FRAMES, 2))
            probes.append(pool[picks[:, 0], picks[:, 1]])
            related = person not in place and int(frames.families[person]) in homes
            visitors.append((person, place.get(person, -1), related, still))
    columns = np.concatenate(gallery)
    shares = np.stack(
        [
            frames.detected[np.ix_(probe, columns)].reshape(VISIT_FRAMES, enrolled, references).mean(axis=2)
            for probe in probes
        ]
    ).astype(np.float32)
    best = shares.argmax(axis=2)
    top = np.take_along_axis(shares, best[:, :, None], axis=2)[:, :, 0]
    np.put_along_axis(shares, best[:, :, None], -1.0, axis=2)
    visitor, own, related_to, still_visit = (np.array(column) for column in zip(*visitors, strict=True))
    return visitor, own, related_to, still_visit, best, top, np.maximum(shares.max(axis=2), 0.0)


def _references(photos: list[Ints], count: int) -> Ints:
    """`count` frames spread over the photographs; more than there are photographs: further frames of them."""
    return np.array(
        [photos[number % len(photos)][number // len(photos) % VERSIONS] for number in range(count)]
    )
