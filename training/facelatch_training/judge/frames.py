"""Photographs as a camera's frames: each a few times, with the small changes of a face that holds still."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from facelatch.ports import Verifier
from facelatch.values.pictures import Box, Face, Image
from facelatch.vision import fusion
from facelatch.vision.align import CROP_SIZE_PX, TEMPLATE
from facelatch.vision.quality import measure
from facelatch_training.batches.augment import misalign, relight
from facelatch_training.judge.verifiers import embed_both
from facelatch_training.recipe import AugmentRecipe

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

VERSIONS = 6
"""Frames made of one photograph: the photograph itself, and five with movement, light and noise."""
MAX_PHOTOS = 12
"""Photographs used of one person, so that few much-photographed people do not fill the memory."""

_STILL = AugmentRecipe()
_LIGHT, _NOISE = 0.15, 3.0
_CENTRED = Face(Box(0.0, 0.0, CROP_SIZE_PX, CROP_SIZE_PX), TEMPLATE.astype(np.float32), 1.0)


@dataclass(frozen=True, eq=False)
class Frames:
    """N photographs of P people, each in VERSIONS frames, as a verifier sees them."""

    probes: Floats = field(repr=False)
    """(N, VERSIONS, D), one look each, as at the door."""
    references: Floats = field(repr=False)
    """(N, VERSIONS, D), from both sides, as the gallery keeps them."""
    weights: npt.NDArray[np.float64] = field(repr=False)
    """(N, VERSIONS), how much each counts among several."""
    photos: tuple[Ints, ...] = field(repr=False)
    """For each person the numbers of the photographs."""
    families: Ints = field(repr=False)
    """(P,) number of each person's family."""

    def people_with(self, photographs: int) -> Ints:
        """The numbers of the people who have so many photographs or more."""
        return np.flatnonzero([len(photos) >= photographs for photos in self.photos])


def make_frames(
    verifier: Verifier, crops: npt.NDArray[np.uint8], people: Ints, families: Ints, seed: int
) -> Frames:
    """Frames of crops (N, 112, 112, 3) with the person (N,) each shows and whose family (N,) that is."""
    rng = np.random.default_rng([seed, 0x6672616D])
    chosen = [rng.permutation(np.flatnonzero(people == person))[:MAX_PHOTOS] for person in np.unique(people)]
    rows = np.concatenate(chosen)
    shown = np.stack([one for row in rows for one in _versions(crops[row], rng)])
    embedded = embed_both(verifier, shown)
    shape = (len(rows), VERSIONS, -1)
    ends = np.cumsum([len(one) for one in chosen])
    return Frames(
        probes=embedded.probes.reshape(shape),
        references=embedded.references.reshape(shape),
        weights=np.array([_weight(crop) for crop in shown]).reshape(shape[:2]),
        photos=tuple(np.arange(end - len(one), end) for end, one in zip(ends, chosen, strict=True)),
        families=np.array([families[one[0]] for one in chosen]),
    )


def later_frame(crop: Image, rng: np.random.Generator) -> Image:
    """The same moment a few frames on: landmarks that are off otherwise, a little light, sensor noise."""
    moved = relight(misalign(crop, rng, _STILL), rng, spread=_LIGHT)
    noisy = moved + rng.normal(0, _NOISE, moved.shape)
    return np.asarray(np.clip(np.rint(noisy), 0, 255), np.uint8)


def _versions(crop: Image, rng: np.random.Generator) -> list[Image]:
    return [crop, *(later_frame(crop, rng) for _ in range(VERSIONS - 1))]


def _weight(crop: Image) -> float:
    """As at the door, as far as a crop tells: of size and pose it says nothing."""
    return fusion.weight(measure(crop.shape, _CENTRED, crop))
