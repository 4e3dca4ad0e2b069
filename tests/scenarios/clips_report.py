"""People on recorded video as visits to a door: some enrolled from their first frames, the others strangers.

    python tests/scenarios/clips_report.py ../shared/data/clips.tar [--enrolled 8] [--frames 5] [--turns 5]

Runs the real `facelatch enroll` and `facelatch replay` on each, with everybody in turn among the enrolled and the
strangers. Prints a line a person and the sums, for frames judged together and, as version 0.2 did by its thresholds,
one by one. Nobody is trained or tuned on these clips. Folders in the tar: one a person, numbered frames.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tarfile
import tempfile
from collections import Counter
from pathlib import Path

from click.testing import CliRunner

from facelatch.cli.root import facelatch
from facelatch.config.shipped import shipped_file

ONE_BY_ONE = {
    "visits": None,
    "detection_threshold": 0.8473668694496155,
    "verification_threshold": 0.375,
}
"""What the manifest of version 0.2 says otherwise, of the same weights."""


def main() -> None:
    """Reads the command line, visits, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", type=Path, help="tar of one folder a person")
    parser.add_argument("--enrolled", type=int, default=8, help="how many people are enrolled at a time")
    parser.add_argument("--frames", type=int, default=5, help="from how many of their first frames")
    parser.add_argument("--turns", type=int, default=5, help="galleries, each of the people after those before")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="facelatch-clips-") as name:
        scratch = Path(name)
        with tarfile.open(options.clips) as archive:
            archive.extractall(scratch / "clips", filter="data")
        people = sorted(path for path in (scratch / "clips").iterdir() if path.is_dir())
        for person in people:
            _part(scratch, person, options.frames)
        for words, model in (("together", ""), ("one by one", str(_model_of_before(scratch)))):
            counted: Counter[str] = Counter()
            for turn in range(options.turns):
                first = turn * len(people) // options.turns
                known = [people[(first + number) % len(people)].name for number in range(options.enrolled)]
                config = _config(scratch / f"{words}-{turn}", model)
                counted += _visits(scratch, config, known, [person.name for person in people])
            _report(words, counted)


def _part(scratch: Path, person: Path, count: int) -> None:
    """The first frames to enrol from, all the others as the visit."""
    for place, frame in enumerate(sorted(person.iterdir())):
        folder = scratch / ("first" if place < count else "visits") / person.name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(frame, folder)


def _model_of_before(scratch: Path) -> Path:
    """The same weights with a manifest that was calibrated for single frames."""
    model = shipped_file("models", "siamese.tflite")
    manifest = json.loads(model.with_suffix(".json").read_text(encoding="utf-8"))
    for part in (model, model.with_suffix(".cohort")):
        shutil.copy(part, scratch)
    (scratch / "siamese.json").write_text(json.dumps({**manifest, **ONE_BY_ONE}), encoding="utf-8")
    return scratch / "siamese.tflite"


def _config(folder: Path, model: str) -> Path:
    folder.mkdir()
    config = folder / "facelatch.toml"
    config.write_text(
        f'[model]\npath = "{model}"\n[storage]\nstate_directory = "{folder / "state"}"\n'
        f'[control]\nsocket = "{folder / "control.sock"}"\ngroup = ""\n'
    )
    return config


def _visits(scratch: Path, config: Path, known: list[str], people: list[str]) -> Counter[str]:
    """Enrols those who are known, lets everybody visit, and counts what came of it."""
    counted: Counter[str] = Counter()
    enrolled = []
    for name in known:
        done = _facelatch(config, "enroll", name, "--images", str(scratch / "first" / name))
        counted["could not be enrolled"] += not done
        enrolled += [name] if done else []
    for name in people:
        told = _facelatch(config, "replay", str(scratch / "visits" / name), "--frames", "--json")
        lines = [json.loads(line) for line in told.splitlines()]
        granted = [one["PERSON"] for one in lines if one.get("event") == "visit.granted"]
        judged = [one for one in lines if one["type"] == "frame"]
        kind = "enrolled" if name in enrolled else "stranger"
        right = sum(one["reason"] == "matched" and one["person"] == name for one in judged)
        print(f"visit {name:<24} {kind}  {right:>2}/{len(judged)} frames matched  granted: {granted or 'no'}")
        counted[f"{kind} visits"] += 1
        if name in enrolled:
            counted["granted"] += name in granted
            counted["taken for somebody else"] += any(one != name for one in granted)
            counted["frames"] += len(judged)
            counted["frames matched"] += right
        elif granted:
            counted["strangers granted"] += 1
    return counted


def _report(words: str, counted: Counter[str]) -> None:
    print(
        f"{words}: enrolled {counted['granted']}/{counted['enrolled visits']} granted, "
        f"{counted['taken for somebody else']} taken for somebody else; strangers "
        f"{counted['strangers granted']}/{counted['stranger visits']} granted; frames of enrolled people "
        f"{counted['frames matched']}/{counted['frames']} matched; "
        f"{counted['could not be enrolled']} could not be enrolled"
    )


def _facelatch(config: Path, *arguments: str) -> str:
    """What the command prints; nothing when it fails."""
    done = CliRunner().invoke(facelatch, ["--config", str(config), *arguments])
    return done.stdout if done.exit_code == 0 else ""


if __name__ == "__main__":
    main()
