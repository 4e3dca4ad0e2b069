"""Visits: recorded sequences as the door would judge them, by the mean of what a track's looks say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facelatch.values.pictures import Image
from facelatch_training.data.cropping import Finder
from facelatch_training.liveness.data.pictures import read_tar
from facelatch_training.liveness.judge.evaluate import Judge

WINDOW = 6
"""Frames of a visit: 5 a second for one second."""


@dataclass(frozen=True)
class Visit:
    """One visit and its mean score."""

    person: str
    live: bool
    score: float


def visits(path: Path, finder: Finder, judge: Judge) -> list[Visit]:
    """Every window of WINDOW frames with a face in all of them, of the sequences in a tar."""
    made = []
    for person, live, frames in _sequences(path):
        scores = []
        for frame in frames:
            faces = finder.find(frame)
            scores.append(judge(frame, faces[0].box) if faces else np.nan)
        for begin in range(0, len(scores) - WINDOW + 1, WINDOW):
            mean = float(np.mean(scores[begin : begin + WINDOW]))
            if np.isfinite(mean):
                made.append(Visit(person, live, mean))
    return made


def _sequences(path: Path) -> Iterator[tuple[str, bool, list[Image]]]:
    frames: dict[str, list[tuple[str, Image]]] = {}
    for name, image in read_tar(path):
        frames.setdefault(str(Path(name).parent), []).append((name, image))
    for folder, pairs in sorted(frames.items()):
        person, session = folder.split("/")
        yield (
            person,
            session.startswith("live"),
            [image for _, image in sorted(pairs, key=lambda pair: pair[0])],
        )


def scores_of(made: list[Visit]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores of the living visits and of the others."""
    return np.array([one.score for one in made if one.live]), np.array(
        [one.score for one in made if not one.live]
    )
