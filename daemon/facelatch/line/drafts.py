"""What an enrolment under way has chosen: crops and embeddings, which the machines know by frame number only."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facelatch.values.observations import Judged, Observation
from facelatch.values.records import Reference


@dataclass(frozen=True, slots=True, eq=False)
class Drafts:
    """The references of a new person before they are saved, in memory only."""

    by_frame: Mapping[int, Reference] = field(default_factory=dict, repr=False)

    @property
    def embeddings(self) -> tuple[NDArray[np.float32], ...]:
        """(D,) each, for the line's `draft_share`."""
        return tuple(reference.embedding for reference in self.by_frame.values())

    @property
    def references(self) -> tuple[Reference, ...]:
        """In the order in which they were chosen."""
        return tuple(self.by_frame.values())


def keep(drafts: Drafts, observation: Observation | None, frames: Collection[int]) -> Drafts:
    """`drafts` after a turn on which the machines want `frames`: the newest comes from `observation`, the rest goes."""
    kept = {frame: one for frame, one in drafts.by_frame.items() if frame in frames}
    if isinstance(observation, Judged) and observation.frame in frames:
        kept[observation.frame] = Reference(observation.crop, observation.embedding, observation.pose)
    return Drafts(kept)
