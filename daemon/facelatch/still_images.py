"""The line on single pictures instead of a camera: for `enroll --images` and `verify`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facelatch import images, pipeline
from facelatch.errors import InputError
from facelatch.pipeline import Line
from facelatch.values import Frame, Gallery, Image, Judged, NewPerson, Observation, Person, Reference

SAME_PERSON_SHARE = 0.5
"""An image that fewer than this share of the others recognise is not of the same person."""


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


def observe_still(line: Line, path: Path, gallery: Gallery) -> Still:
    """The line's word on one file; an unreadable one is a problem of its own, not the end."""
    try:
        observation = observe_image(line, images.read_image(path), gallery)
    except InputError as error:
        return Still(path, None, str(error))
    problem = "" if isinstance(observation, Judged) else f"{observation.reason}: {observation.reason.hint}"
    return Still(path, observation, problem)


def without_strangers(line: Line, stills: Sequence[Still]) -> list[Still]:
    """Marks pictures that show somebody else than most of the others do, and exact copies."""
    good = [(still, still.observation) for still in stills if isinstance(still.observation, Judged)]
    embeddings = [judged.embedding for _, judged in good]
    crops = [judged.crop.tobytes() for _, judged in good]
    problems: dict[Path, str] = {}
    for index, (still, judged) in enumerate(good):
        others = embeddings[:index] + embeddings[index + 1 :]
        if crops[index] in crops[:index]:
            problems[still.path] = "a copy of another picture"
        elif others:
            alike = line.verifier.compare(judged.embedding, np.stack(others)) >= line.thresholds.detection
            if float(np.mean(alike)) < SAME_PERSON_SHARE:
                problems[still.path] = "does not look like the person on most of the other pictures"
    return [
        Still(still.path, still.observation, still.problem or problems.get(still.path, ""))
        for still in stills
    ]


def usable(source: Path, stills: Sequence[Still]) -> list[Judged]:
    """The pictures without a problem. Raises InputError when there is none."""
    good = [s.observation for s in stills if not s.problem and isinstance(s.observation, Judged)]
    if not good:
        raise InputError(f"{source}: no usable picture", hint="see above why each was skipped")
    return good


def already_enrolled(judged: Sequence[Judged]) -> Person | None:
    """Whoever in the gallery one of the pictures matches."""
    return next((one.verdict.person for one in judged if one.verdict.matched), None)


def spread(judged: Sequence[Judged], count: int) -> list[Judged]:
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


def new_person(name: str, judged: Sequence[Judged], *, admin: bool) -> NewPerson:
    """The enrolment these pictures make."""
    return NewPerson(name, admin, tuple(Reference(one.crop, one.embedding, one.pose) for one in judged))
