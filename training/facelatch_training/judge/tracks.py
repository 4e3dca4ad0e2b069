"""What a visitor's frames come to as a track: `facelatch.line.track` on photographs, before any gallery is asked.

Two kinds of visit stand for the two ends of dependence: in a *still* visit all frames are of one photograph, in a
*varied* one each is of another photograph than the frame before (as far as there are any). Some frames of both are
unusable: they show nothing, and the next has to look like those before all the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from facelatch.ports import Verifier
from facelatch.vision import fusion
from facelatch_training.judge.frames import VERSIONS, Floats, Frames, Ints

VISIT_FRAMES = 12
"""The longest visit that is played; most are decided long before."""
UNUSABLE_SHARE = 0.2
"""Of frames that show nothing: blurred, dark, lost."""
DRAWS = 6
"""Ways in which each person's photographs are dealt to door and gallery, and frames are drawn."""
MOST_AT_THE_DOOR = 3
"""Photographs that a visit is made of; at most half of a person's."""
STILL, VARIED = 0, 1


@dataclass(frozen=True, eq=False)
class Tracks:
    """The visits of P people in DRAWS draws, still and varied, of F frames."""

    single: Floats = field(repr=False)
    """(P, DRAWS, 2, F, D) each frame by itself."""
    fused: Floats = field(repr=False)
    """(P, DRAWS, 2, F, D) with all that came before it on its track."""
    usable: npt.NDArray[np.bool_] = field(repr=False)
    """(P, DRAWS, 2, F)."""
    number: Ints = field(repr=False)
    """(P, DRAWS, 2, F) which track of the visit; another one after each jump."""
    odd: npt.NDArray[np.bool_] = field(repr=False)
    """(P, DRAWS, 2, F) whether the frame is an outlier of its track."""
    at_the_door: Ints = field(repr=False)
    """(P,) photographs that each person's visits are made of."""
    kept: tuple[tuple[Ints, ...], ...] = field(repr=False)
    """For each person, for each draw, the photographs that references are made of."""


def play_tracks(frames: Frames, verifier: Verifier, likeness: float, steady: float, seed: int) -> Tracks:
    """Visits by everybody; a frame that is less alike than `likeness` to those before begins another track, after
    pictures that were each as much alike as `steady` one that is less than that.
    """
    rng = np.random.default_rng([seed, 0x747261])
    shape = (len(frames.photos), DRAWS, 2, VISIT_FRAMES)
    single = np.zeros((*shape, frames.probes.shape[-1]), np.float32)
    fused = np.zeros_like(single)
    usable = rng.random(shape) >= UNUSABLE_SHARE
    number, odd = np.zeros(shape, np.int64), np.zeros(shape, bool)
    at_the_door = np.array([min(MOST_AT_THE_DOOR, max(1, len(photos) // 2)) for photos in frames.photos])
    kept: list[tuple[Ints, ...]] = []
    for person, (photos, door) in enumerate(zip(frames.photos, at_the_door, strict=True)):
        # Each photograph has its turn, which leaves less to chance than dealing anew.
        shuffled = rng.permutation(photos)
        dealt = [np.roll(shuffled, -draw) for draw in range(DRAWS)]
        kept.append(tuple(one[door:] for one in dealt))
        for draw in range(DRAWS):
            for kind in (STILL, VARIED):
                at = (person, draw, kind)
                photo, version = _drawn(dealt[draw][:door], kind, rng)
                single[at] = frames.probes[photo, version]
                seen = (single[at], frames.weights[photo, version], usable[at])
                fused[at], number[at], odd[at] = _followed(verifier, (likeness, steady), *seen)
    return Tracks(
        single=single,
        fused=fused,
        usable=usable,
        number=number,
        odd=odd,
        at_the_door=at_the_door,
        kept=tuple(kept),
    )


def _drawn(photos: Ints, kind: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Photograph and version of each frame (F,); versions come again only when all were there."""
    shown = photos[:1] if kind == STILL else rng.permutation(photos)
    versions = np.concatenate([rng.permutation(VERSIONS) for _ in range(1 + VISIT_FRAMES // VERSIONS)])
    return np.resize(shown, VISIT_FRAMES), versions[:VISIT_FRAMES]


def _followed(
    verifier: Verifier,
    limits: tuple[float, float],
    probes: Floats,
    weights: npt.NDArray[np.float64],
    usable: npt.NDArray[np.bool_],
) -> tuple[Floats, Ints, npt.NDArray[np.bool_]]:
    """Fused probe (F, D), track (F,), and whether it is an outlier (F,), of the frames of one visit."""
    fused, number, odd = probes.copy(), np.zeros(len(probes), np.int64), np.zeros(len(probes), bool)
    least, usual = map(np.float32, limits)
    track: list[int] = []
    steady = True
    for frame in np.flatnonzero(usable):
        similar = verifier.compare(probes[frame], fused[track[-1:]])[0] if track else np.float32(0)
        alike = bool(track) and similar >= (usual if steady and len(track) > 1 else least)
        number[frame:] += int(bool(track) and not alike)
        steady = not alike or (steady and bool(similar >= usual))
        track = [*(track if alike else ()), int(frame)][-fusion.MOST_PICTURES :]
        belongs = fusion.belonging(probes[track], weights[track])
        fused[frame] = fusion.fused(probes[track][belongs], weights[track][belongs])
        odd[frame] = not belongs[-1]
    return fused, number, odd
