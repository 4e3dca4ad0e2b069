"""What movement tells of recorded people and of prints of them, waved in a hand.

    python tests/scenarios/motion_report.py ../shared/data/liveness/sequences.tar

Folders `PERSON/live-SESSION` and `PERSON/print-SESSION`, whole frames at about five a second. Prints, for the first
half of the people (limits were chosen on them) and for the second: how much the nose's parallax changes, and what the
surroundings say of visits of six frames. No face and no name.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from recordings import read_clips

from facelatch.app.build import build_line
from facelatch.config.file import Config
from facelatch.line import pipeline
from facelatch.line.pipeline import Line
from facelatch.line.surroundings import Surroundings, move_along, watch
from facelatch.values.pictures import Face, Frame
from facelatch.vision import select_face
from facelatch.vision.parallax import nose_parallax
from facelatch.vision.reduce import search_picture

RATE, VISIT_FRAMES = 5.0, 6
WORDS = {True: "move along", False: "stay", None: "undecided"}
Seen = Sequence[tuple[Frame, Face]]


def main() -> None:
    """Reads the command line, looks at every frame once, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sequences", type=Path, help="tar of sequences")
    line = build_line(Config())
    sessions = {name: seen(line, frames) for name, frames in read(parser.parse_args().sequences).items()}
    people = sorted({name.split("/")[0] for name in sessions})
    halves = {"first": people[: len(people) // 2], "second": people[len(people) // 2 :]}
    for half, members in halves.items():
        for kind in ("live", "print"):
            wanted = [one for name, one in sessions.items() if name.split("/")[0] in members and f"/{kind}-" in name]
            print(f"{half} half, {kind}: {parallaxes(wanted)}; surroundings: {surroundings(wanted)}", flush=True)


def read(path: Path) -> dict[str, list[Frame]]:
    """The frames of each session, in order."""
    config = Config().camera
    return {
        name: [
            Frame(image, search_picture(image, config), number / RATE, number) for number, image in enumerate(images)
        ]
        for name, images in read_clips(path).items()
    }


def seen(line: Line, frames: Sequence[Frame]) -> Seen:
    """The frames with their face, without those that have none."""
    chosen = ((frame, select_face.select(pipeline.find_all(line, frame.image), 0.6)) for frame in frames)
    return [(frame, face) for frame, face in chosen if isinstance(face, Face) and not face.turn]


def parallaxes(sessions: Sequence[Seen]) -> str:
    """How far the parallax of the nose is from its median in the session."""
    changes: list[float] = []
    for session in sessions:
        found = [offset for _, face in session if (offset := nose_parallax(face.landmarks)) is not None]
        changes += list(np.abs(np.array(found) - np.median(found)))
    half, most, largest = np.quantile(changes, [0.5, 0.99, 1.0])
    return f"parallax of {len(changes)} frames changes by {half:.3f} (median), {most:.2f} (99 %), {largest:.2f} (most)"


def surroundings(sessions: Sequence[Seen]) -> str:
    """What they say of visits."""
    outcomes = Counter(WORDS[move_along(known)] for session in sessions for known in visits(session))
    return ", ".join(f"{outcomes[word]} {word}" for word in WORDS.values())


def visits(session: Seen) -> Iterator[Surroundings]:
    """What is known after each visit of `VISIT_FRAMES`."""
    for begin in range(0, len(session) - VISIT_FRAMES + 1, VISIT_FRAMES):
        known = Surroundings()
        for frame, face in session[begin : begin + VISIT_FRAMES]:
            known = watch(known, frame, face, 1)
        yield known


if __name__ == "__main__":
    main()
