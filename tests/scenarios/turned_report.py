"""Attacks that need no skill: a camera that hangs wrongly, and covered faces. How many strangers are let in?

    python tests/scenarios/turned_report.py ../shared/data/clips.tar [--crops CROPS] [--photographs SCENES.tar]

People on recorded video, each a visit to a door that knows one, two or ten of the others: as they are, turned by
quarters, and with sunglasses and masks drawn on; enrolled as they are, and enrolled so. "Before" is the same line
without its tests of orientation and familiarity, and enrolment without its rule. Prints counts, no face and no name.

`--crops` says how many good crops of validation people the test of familiarity refuses; `--photographs` says how often
an upright face is taken for a turned one. Nothing is trained or chosen on any of them.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from recordings import decoded, read_clips

from facelatch.app.build import build_line
from facelatch.config.file import Config
from facelatch.line import household, pipeline, track
from facelatch.line.match import match
from facelatch.line.pipeline import Line
from facelatch.line.search import Search
from facelatch.machines import session, session_states
from facelatch.values.observations import Judged, Observation
from facelatch.values.pictures import Face, Frame, Image
from facelatch.values.records import Gallery, Person
from facelatch.vision.align import similarity_transform
from facelatch.vision.cohort import NO_COHORT, is_familiar
from facelatch.vision.references import embed_reference
from facelatch.vision.select_face import select
from facelatch.vision.turn import turned
from facelatch_training.data.covers import COVERS, covered

ENROL_FRAMES = 5
HOUSEHOLDS = {1: 20, 2: 20, 10: 20}
"""Doors tried, by how many they know."""
NOBODY = Gallery({}, (), np.zeros((0, 384), np.float32))
TURNS = {"turned by 90": 90, "turned by 180": 180, "turned by 270": 270}


@dataclass(frozen=True)
class Visit:
    """What the line says of a person's frames, without and with its tests."""

    before: Sequence[Observation]
    after: Sequence[Observation]


def main() -> None:
    """Reads the command line, measures, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", type=Path, help="tar of one folder a person")
    parser.add_argument("--crops", type=Path, help="a crop set; half B of its validation people is looked at")
    parser.add_argument("--photographs", type=Path, help="tar of photographs with upright faces")
    options = parser.parse_args()
    line = build_line(Config())
    people = [*read_clips(options.clips).values()]
    conditions = ["as they are", *TURNS, *COVERS]
    seen = {how: [look(line, shown(line, frames, how)) for frames in people] for how in conditions}
    print_frames(seen)
    print_attacks(line, seen)
    if options.crops:
        print_unfamiliar(line, options.crops)
    if options.photographs:
        print_photographs(line, options.photographs)


def shown(line: Line, frames: Sequence[Image], how: str) -> list[Image]:
    """The frames under one condition; those in which no face is found to be covered are left out."""
    if how in TURNS:
        return [turned(frame, TURNS[how]) for frame in frames]
    if how not in COVERS:
        return list(frames)
    made, rng = [], np.random.default_rng(len(frames))
    for frame in frames:
        face = select(pipeline.find_all(line, frame), line.similar_size_ratio)
        transform = similarity_transform(face.landmarks) if isinstance(face, Face) else None
        if transform is not None:
            made.append(covered(frame, how, np.asarray(cv2.invertAffineTransform(transform)), rng))
    return made


def look(line: Line, frames: Sequence[Image]) -> Visit:
    """As the door looks at them, 15 a second."""
    bare, search = replace(line, cohort=NO_COHORT), Search()
    before: list[Observation] = []
    after: list[Observation] = []
    for number, image in enumerate(frames):
        frame = Frame(image, image, number / 15, number)
        faces, search, _ = pipeline.look(line, frame, search)
        after.append(pipeline.observe(line, frame, faces, NOBODY))
        before.append(pipeline.observe(bare, frame, [replace(face, turn=0) for face in faces], NOBODY))
    return Visit(before, after)


def print_frames(seen: dict[str, list[Visit]]) -> None:
    """Which reasons the frames get that could be judged before."""
    print("| shown | frames | judged before | now |\n|---|---|---|---|")
    for how, visits in seen.items():
        pairs = [pair for visit in visits for pair in zip(visit.before, visit.after, strict=True)]
        now = Counter(_reason(after) for before, after in pairs if isinstance(before, Judged))
        words = ", ".join(f"{count} {name}" for name, count in now.most_common())
        print(f"| {how} | {len(pairs)} | {sum(now.values())} | {words} |")


def _reason(observation: Observation) -> str:
    return "judged" if isinstance(observation, Judged) else str(observation.reason)


def print_attacks(line: Line, seen: dict[str, list[Visit]]) -> None:
    """Strangers let in, by condition and by how those were enrolled whom the door knows."""
    print("\n| visits | enrolled | people | strangers let in, before | now | own visits let in | now | refused |")
    print("|---|---|---|---|---|---|---|---|")
    made = {how: [[enrol(line, visit, new=new) for visit in seen[how]] for new in (False, True)] for how in seen}
    for how, visits in seen.items():
        for enrolled in dict.fromkeys(("as they are", how)):
            for count, doors in HOUSEHOLDS.items():
                found = attack(line, visits, made[enrolled], count, doors)
                print(f"| {how} | {enrolled} | {count} | " + " | ".join(found) + " |")


def attack(
    line: Line,
    visits: Sequence[Visit],
    references: Sequence[Sequence[list[npt.NDArray[np.float32]]]],
    count: int,
    doors: int,
) -> list[str]:
    """Counts over `doors` doors that know `count` people, whose references are `references[0]` before, [1] now."""
    rng, sums = np.random.default_rng(count), Counter[str]()
    for door in range(doors):
        members = [door] if count == 1 else rng.choice(len(visits), count, replace=False).tolist()
        galleries = [household.prepared(line, known(each, members)) for each in references]
        if not galleries[0].people:
            continue  # nobody could be enrolled before either
        sums["enrolled"] += len(galleries[0].people)
        sums["refused"] += len(galleries[0].people) - len(galleries[1].people)
        for number, visit in enumerate(visits):
            before = who_is_let_in(line, visit.before, galleries[0])
            now = who_is_let_in(line, visit.after, galleries[1])
            if number in members:
                sums.update({"own": 1, "own before": before == number, "own now": now == number})
            elif any(isinstance(one, Judged) for one in visit.before[ENROL_FRAMES:]):
                sums.update({"others": 1, "before": before is not None, "now": now is not None})
    return [
        f"{sums['before']} of {sums['others']}",
        f"{sums['now']} of {sums['others']}",
        f"{sums['own before']} of {sums['own']}",
        f"{sums['own now']} of {sums['own']}",
        f"{sums['refused']} of {sums['enrolled']}",
    ]


def enrol(line: Line, visit: Visit, *, new: bool) -> list[npt.NDArray[np.float32]]:
    """The references that the first frames make; none when they are refused."""
    first = [one for one in (visit.after if new else visit.before)[:ENROL_FRAMES] if isinstance(one, Judged)]
    made = [embed_reference(line.verifier.embed, one.crop) for one in first]
    refused = new and made and any(test(np.stack(made)) for test in line.set_tests)
    return [] if refused else made


def known(references: Sequence[list[npt.NDArray[np.float32]]], members: Sequence[int]) -> Gallery:
    """A gallery of those members who have references; a person's id is the place in `references`."""
    there = [number for number in members if references[number]]
    if not there:
        return NOBODY
    owners = tuple(number for number in there for _ in references[number])
    return Gallery(
        {number: Person(number, f"person-{number}") for number in there},
        owners,
        np.stack([one for number in there for one in references[number]]),
    )


def who_is_let_in(line: Line, frames: Sequence[Observation], gallery: Gallery) -> int | None:
    """Whom the session takes the visitor for, of whose frames the first are left out (they may be enrolled)."""
    settings, visit, tracks = Config().session, session_states.Session(), track.Tracks()
    for number, seen in enumerate(frames[ENROL_FRAMES:]):
        alone: Observation = seen
        if isinstance(seen, Judged):
            similarities = line.verifier.compare(seen.embedding, gallery.embeddings)
            verdict = match(similarities, gallery, line.thresholds)
            alone = replace(seen, similarities=similarities, verdict=verdict)
        observation, tracks = track.follow(line, tracks, alone, number / 15, gallery)
        visit = session.advance(visit, observation, number / 15, settings)
        granted = visit.granted
        if granted is not None and granted.verdict is not None and granted.verdict.person is not None:
            return granted.verdict.person.id
    return None


def print_unfamiliar(line: Line, data: Path) -> None:
    """How many good crops of half B of the validation families are refused as unlike those it was trained with."""
    from facelatch_training.judge.halves import calibration_half
    from facelatch_training.judge.protocols import gather, prepared

    protocol = prepared(data)
    crops = gather(protocol)[~calibration_half(protocol.families)]
    unread = sum(not is_familiar(line.verifier.embed(crop), line.cohort) for crop in crops)
    print(f"{unread} of {len(crops)} crops unfamiliar: {unread / len(crops):.3%}")


def print_photographs(line: Line, path: Path) -> None:
    """Upright faces taken for turned ones, in the photographs on which the limits were not chosen."""
    told: Counter[str] = Counter()
    bare = replace(line, cohort=NO_COHORT)
    for image in _other_half(path):
        for how in (0, *TURNS.values()):
            picture = turned(image, how)
            face = select(pipeline.find_all(line, picture), line.similar_size_ratio)
            if isinstance(face, Face):
                frame = Frame(picture, picture, 0, 0)
                if isinstance(pipeline.judge(bare, frame, replace(face, turn=0), NOBODY), Judged):
                    told[f"{how} found"] += 1
                    told[f"{how} as it is"] += face.turn == (360 - how) % 360
                    told[f"{how} not upright"] += face.turn != 0
    for name, count in told.items():
        print(f"{name:<18}{count}")


def _other_half(path: Path) -> Iterator[Image]:
    with tarfile.open(path) as archive:
        for member in archive:
            stream = archive.extractfile(member)
            if stream is not None and hashlib.sha256(member.name.encode()).digest()[0] % 2:
                yield decoded(stream.read())


if __name__ == "__main__":
    sys.exit(main())
