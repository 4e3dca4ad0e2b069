"""The line on single pictures instead of a camera: for `enroll --images` and `verify`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facelatch.errors import InputError
from facelatch.line import pipeline
from facelatch.line.pipeline import Line
from facelatch.values.observations import Judged, Observation
from facelatch.values.pictures import Frame, Image
from facelatch.values.records import Gallery
from facelatch.vision import images


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
    """Marks exact copies, and pictures that no other one recognises although others recognise each other.

    Not more: pictures of one person in different light and pose are alike to some of the others only.
    """
    good = [(still.path, still.observation) for still in stills if isinstance(still.observation, Judged)]
    alike = np.array([_detections(line, judged, good) for _, judged in good], dtype=bool)
    crops = [judged.crop.tobytes() for _, judged in good]
    problems: dict[Path, str] = {}
    for index, (path, _) in enumerate(good):
        if crops[index] in crops[:index]:
            problems[path] = "a copy of another picture"
        elif alike.any() and not alike[index].any():
            problems[path] = "does not look like the person on the other pictures"
    return [
        Still(still.path, still.observation, still.problem or problems.get(still.path, ""))
        for still in stills
    ]


def _detections(line: Line, probe: Judged, others: Sequence[tuple[Path, Judged]]) -> NDArray[np.bool_]:
    """Which of `others` (N,) the probe is a detection of; itself does not count."""
    similarities = line.verifier.compare(probe.embedding, np.stack([one.embedding for _, one in others]))
    itself = np.array([one is probe for _, one in others], dtype=bool)
    return np.asarray((similarities >= line.thresholds.detection) & ~itself, dtype=bool)


def usable(source: Path, stills: Sequence[Still]) -> list[Judged]:
    """The pictures without a problem. Raises InputError when there is none."""
    good = [s.observation for s in stills if not s.problem and isinstance(s.observation, Judged)]
    if not good:
        raise InputError(f"{source}: no usable picture", hint="see above why each was skipped")
    return good


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
