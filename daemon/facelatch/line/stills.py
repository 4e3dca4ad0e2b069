"""The line on single pictures instead of a camera: for `enroll --images` and `verify`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from facelatch.decoder.reader import PictureReader
from facelatch.errors import InputError
from facelatch.line import pipeline
from facelatch.line.pipeline import Line
from facelatch.values.observations import Judged, Observation
from facelatch.values.pictures import Frame, Image, Pose
from facelatch.values.records import Gallery

NOBODY = Gallery(people={}, owners=(), embeddings=np.zeros((0, 0), np.float32))
"""To look at pictures that a door compares later."""


@dataclass(frozen=True, slots=True, eq=False)
class Still:
    """A picture file and what the line says about it."""

    path: Path
    observation: Observation | None
    problem: str
    """Why it cannot be used; empty when it can."""


def observe_image(line: Line, image: Image, gallery: Gallery) -> Observation:
    """What the line says about one RGB picture of any size."""
    frame = Frame(image=image, search=image, captured=0.0, number=0)
    return pipeline.observe(line, frame, pipeline.find_all(line, image), gallery)


def observe_still(line: Line, reader: PictureReader, path: Path, gallery: Gallery) -> Still:
    """The line's word on one file; an unreadable one is a problem of its own, not the end."""
    try:
        observation = observe_image(line, reader.read(path), gallery)
    except InputError as error:
        return Still(path, None, f"{str(error).removeprefix(f'{path}: ')}: {error.hint}")
    problem = "" if isinstance(observation, Judged) else f"{observation.reason}: {observation.reason.hint}"
    return Still(path, observation, problem)


def usable(source: Path, stills: Sequence[Still]) -> list[Judged]:
    """The pictures without a problem. Raises InputError when there is none."""
    good = [s.observation for s in stills if not s.problem and isinstance(s.observation, Judged)]
    if not good:
        reasons = "see above why each was skipped"
        hint = reasons if stills else "put pictures into it: JPEG, PNG, WebP or BMP, about eight"
        raise InputError(f"{source}: no usable picture", hint=hint)
    return good


class Posed(Protocol):
    """Whatever shows a head in a pose."""

    @property
    def pose(self) -> Pose:
        """Of the head."""
        ...


T = TypeVar("T", bound=Posed)


def spread(judged: Sequence[T], count: int) -> list[T]:
    """The `count` pictures that differ most in pose: the straightest first, then always the farthest."""
    poses = np.array([[one.pose.yaw, one.pose.pitch] for one in judged], dtype=np.float64).reshape(-1, 2)
    if len(judged) <= count:
        return list(judged)
    chosen = [int(np.argmin(np.linalg.norm(poses, axis=1)))]
    distance = np.linalg.norm(poses - poses[chosen[0]], axis=1)
    while len(chosen) < count:
        distance[chosen] = -1.0
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(poses - poses[chosen[-1]], axis=1))
    return [judged[index] for index in sorted(chosen)]
