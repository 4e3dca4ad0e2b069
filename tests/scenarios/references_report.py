"""How often folders of two people are refused, and folders of one person not, by the rule that admits references.

    python tests/scenarios/references_report.py ../shared/data/faces [--folders 2000]

Takes aligned crops of the split `validation` of a table `faces.csv` (path, identity, split, shard) and its tars.
Figures are given for both halves of the people, split by family as in calibration: the model's thresholds and
DUPLICATE_SHARE were chosen on half A, so half B is what counts. Nothing is shown or kept of the pictures.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from facelatch.app import build
from facelatch.config.file import Config
from facelatch.errors import AdmissionError
from facelatch.line.admission import Judge, Terms, admit
from facelatch.values.pictures import Pose
from facelatch.values.records import Gallery, Person, Reference

SIZE = 8
"""Pictures of a folder."""
ENROLLED = 50
"""People at the door for the duplicates."""
NOBODY = Gallery(people={}, owners=(), embeddings=np.zeros((0, 0), np.float32))

People = Mapping[str, Sequence[Reference]]


def main() -> None:
    """Reads the command line, judges, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("faces", type=Path, help="folder of faces.csv and its tars")
    parser.add_argument("--folders", type=int, default=2000, help="mixed folders of each kind")
    options = parser.parse_args()
    config = Config()
    judge = Judge(build.build_line(config), config.enrolment.lookalike_share)
    everybody = read(options.faces, judge)
    for half in "AB":
        people = {name: found for name, found in everybody.items() if half_of(name) == half}
        print(f"half {half}: {len(people)} people, {sum(map(len, people.values()))} pictures")
        honest(judge, people)
        for counts in ((7, 1), (6, 2), (5, 3), (4, 4)):
            mixed(judge, people, counts, options.folders)
        duplicates(judge, people)


def half_of(identity: str) -> str:
    """As `facelatch_training.calibrate` splits: by family, so that relatives stay together."""
    family = identity.split("MID")[0]
    return "A" if hashlib.sha256(f"half:{family}".encode()).digest()[0] < 128 else "B"


def read(folder: Path, judge: Judge) -> People:
    """The references that each validation identity's crops make."""
    with (folder / "faces.csv").open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == "validation"]
    found: dict[str, list[Reference]] = {}
    for shard in sorted({row["shard"] for row in rows}):
        wanted = {row["path"]: row["identity"] for row in rows if row["shard"] == shard}
        with tarfile.open(folder / shard) as archive:
            for member in archive:
                stream_of = archive.extractfile(member) if member.name in wanted else None
                if stream_of is not None:
                    picture = cv2.imdecode(np.frombuffer(stream_of.read(), np.uint8), cv2.IMREAD_COLOR)
                    crop = np.ascontiguousarray(picture[:, :, ::-1])
                    reference = judge.reference(crop, Pose(0.0, 0.0, 0.0))
                    found.setdefault(wanted[member.name], []).append(reference)
    return found


def draw(random: np.random.Generator, pictures: Sequence[Reference], count: int) -> list[Reference]:
    """That many of somebody's pictures, each once."""
    return [pictures[place] for place in random.permutation(len(pictures))[:count]]


def honest(judge: Judge, people: People) -> None:
    """Folders of one person, with at least three pictures and at most eight."""
    random, outcomes, left_out, pictures = np.random.default_rng(1), Counter[str](), 0, 0
    for found in people.values():
        if len(found) >= 3:
            given = draw(random, found, SIZE)
            try:
                left = len(admit(judge, given, NOBODY, Terms(most=SIZE)).left_out)
                outcomes["all kept" if not left else "some left out"] += 1
                left_out, pictures = left_out + left, pictures + len(given)
            except AdmissionError:
                outcomes["refused"] += 1
    print(f"  one person   {told(outcomes)}; of the pictures of those kept {left_out} of {pictures} left out")


def mixed(judge: Judge, people: People, counts: tuple[int, int], folders: int) -> None:
    """Folders of two people; `both kept` is what must not be."""
    random, outcomes = np.random.default_rng(2), Counter[str]()
    for one, other in pairs(random, people, counts, folders):
        first, second = draw(random, one, counts[0]), draw(random, other, counts[1])
        try:
            kept = admit(judge, [*first, *second], NOBODY, Terms(most=SIZE)).references
        except AdmissionError:
            outcomes["refused"] += 1
            continue
        of = {any(reference is mine for mine in first) for reference in kept}
        outcomes["both kept" if len(of) == 2 else "one person kept"] += 1
    print(f"  {counts[0]} + {counts[1]}        {told(outcomes)}")


def pairs(
    random: np.random.Generator, people: People, counts: tuple[int, int], folders: int
) -> Iterator[tuple[Sequence[Reference], Sequence[Reference]]]:
    """Two different people each time who have so many pictures."""
    first = [name for name, found in people.items() if len(found) >= counts[0]]
    second = [name for name, found in people.items() if len(found) >= counts[1]]
    for _ in range(folders):
        one = first[random.integers(len(first))]
        other = second[random.integers(len(second))]
        if one != other:
            yield people[one], people[other]


def duplicates(judge: Judge, people: People) -> None:
    """People enrolled from half of their pictures who come again with the others, and strangers to the same door."""
    random, again, strangers = np.random.default_rng(3), Counter[str](), Counter[str]()
    names = [name for name, found in people.items() if len(found) >= 2 * 3]
    for name in names:
        others = [one for one in random.permutation(names) if one != name][: ENROLLED - 1]
        shuffled = draw(random, people[name], len(people[name]))
        half = len(shuffled) // 2
        for tally, enrolled in ((again, shuffled[half:][:SIZE]), (strangers, ())):
            door = gallery([*(people[one][:SIZE] for one in others), *([enrolled] if enrolled else [])])
            tally[outcome(judge, shuffled[:half][:SIZE], door)] += 1
    print(f"  come again   {told(again)}")
    print(f"  strangers    {told(strangers)} ({ENROLLED - 1} people enrolled)")


def gallery(enrolled: Sequence[Sequence[Reference]]) -> Gallery:
    """A door with these people."""
    owners = tuple(number for number, found in enumerate(enrolled) for _ in found)
    rows = np.stack([reference.embedding for found in enrolled for reference in found])
    people = {number: Person(number, str(number)) for number in range(len(enrolled))}
    return Gallery(people=people, owners=owners, embeddings=rows)


def outcome(judge: Judge, pictures: Sequence[Reference], door: Gallery) -> str:
    """What becomes of a set at a door."""
    try:
        found = admit(judge, pictures, door, Terms(most=SIZE))
    except AdmissionError as error:
        return error.code
    return "admitted" if found.nearest is None else "admitted with a warning"


def told(outcomes: Counter[str]) -> str:
    """Counts and shares."""
    total = outcomes.total()
    return f"{total} sets: " + ", ".join(
        f"{name} {count} ({count / total:.1%})" for name, count in sorted(outcomes.items())
    )


if __name__ == "__main__":
    main()
