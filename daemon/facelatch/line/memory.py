"""What the line remembers from frame to frame: where to look, who is in view, what to leave out, what is chosen."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from facelatch.line import background, drafts, liveness, pipeline, track, turning
from facelatch.line.background import Background
from facelatch.line.drafts import Drafts
from facelatch.line.liveness import Evidence
from facelatch.line.pipeline import Line
from facelatch.line.search import Search
from facelatch.line.track import Tracks
from facelatch.values.observations import Judged, Observation, Unusable
from facelatch.values.pictures import Frame
from facelatch.values.records import Gallery


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """A value that the loop hands from one frame to the next."""

    search: Search = field(default_factory=Search)
    tracks: Tracks = field(default_factory=Tracks)
    background: Background = field(default_factory=Background)
    drafts: Drafts = field(default_factory=Drafts)
    evidence: Evidence = field(default_factory=Evidence)
    enrolling: bool = False
    """Whether an enrolment was under way at the frame before."""


def see(line: Line, frame: Frame, memory: Memory, gallery: Gallery) -> tuple[Observation, Memory]:
    """What `frame` says about who is there."""
    faces, search, still = pipeline.look(line, frame, memory.search, memory.background)
    seen = pipeline.observe(line, frame, faces, gallery, memory.drafts.embeddings)
    observation, tracks = track.follow(line, memory.tracks, seen, frame.captured, gallery)
    observation, evidence = liveness.examine(
        line.liveness, memory.evidence, frame, observation, enrolling=memory.enrolling
    )
    if line.measures_turns:
        observation = turning.measured(observation)
    return observation, replace(memory, search=search, background=still, tracks=tracks, evidence=evidence)


def after_visits(
    memory: Memory, observation: Observation | None, now: float, ended_tracks: Collection[int]
) -> Memory:
    """The memory once the machines have said whose visit ended on this turn; no enrolment is under way."""
    still = memory.background
    if isinstance(observation, Judged | Unusable) and observation.track in ended_tracks:
        still = background.retire(still, observation.face, observation.track, now)
    return replace(memory, background=still, drafts=Drafts(), enrolling=False)


def for_enrolment(memory: Memory, observation: Observation | None, kept: Collection[int]) -> Memory:
    """The memory while an enrolment has chosen the frames `kept`: it looks at everybody, so there is no background."""
    return replace(
        memory,
        background=Background(),
        drafts=drafts.keep(memory.drafts, observation, kept),
        enrolling=True,
    )
