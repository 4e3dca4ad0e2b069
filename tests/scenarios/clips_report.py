"""People on recorded video as visits to a door: some enrolled from their first frames, the others strangers.

    python tests/scenarios/clips_report.py ../shared/data/clips.tar [--enrolled 8] [--frames 5] [--config FILE]

Runs the real `facelatch enroll` and `facelatch replay` on each. Prints a line a person and the sums. Nobody is
trained or tuned on these clips. Folders in the tar: one a person, numbered frames.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path


def main() -> None:
    """Reads the command line, visits, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", type=Path, help="tar of one folder a person")
    parser.add_argument(
        "--enrolled", type=int, default=8, help="how many people are enrolled (the first by name)"
    )
    parser.add_argument("--frames", type=int, default=5, help="from how many of their first frames")
    parser.add_argument(
        "--config", type=Path, help="configuration to start from; state and socket are replaced"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="facelatch-clips-") as name:
        scratch = Path(name)
        with tarfile.open(options.clips) as archive:
            archive.extractall(scratch / "clips", filter="data")
        config = scratch / "facelatch.toml"
        config.write_text(
            (options.config.read_text(encoding="utf-8") if options.config else "")
            + f'\n[storage]\nstate_directory = "{scratch / "state"}"\n'
            f'[control]\nsocket = "{scratch / "control.sock"}"\ngroup = ""\n'
        )
        people = sorted(path for path in (scratch / "clips").iterdir() if path.is_dir())
        known = {person.name for person in people[: options.enrolled]}
        visits = [
            _prepare(scratch, config, person, options.frames, enrol=person.name in known) for person in people
        ]
        _report(config, known, visits)


def _prepare(scratch: Path, config: Path, person: Path, count: int, *, enrol: bool) -> Path:
    """Enrols the first frames where asked; the folder with all the other frames is the visit."""
    frames = sorted(person.iterdir())
    visit, first = scratch / "visits" / person.name, scratch / "first" / person.name
    visit.mkdir(parents=True)
    first.mkdir(parents=True)
    for frame in frames[:count]:
        shutil.copy(frame, first)
    for frame in frames[count:]:
        shutil.copy(frame, visit)
    if enrol:
        done = _facelatch(config, "enroll", person.name, "--images", str(first))
        print(f"enrol {person.name:<24} {done.stdout.strip() or done.stderr.strip().splitlines()[-1]}")
    return visit


def _report(config: Path, known: set[str], visits: list[Path]) -> None:
    granted = false_grants = wrong_person = missed = frames = matched = 0
    reasons: dict[str, int] = {}
    for visit in visits:
        lines = _facelatch(config, "replay", str(visit), "--frames", "--json").stdout.splitlines()
        records = [json.loads(line) for line in lines]
        names = [one["PERSON"] for one in records if one.get("event") == "visit.granted"]
        judged = [one for one in records if one["type"] == "frame"]
        right = sum(one["reason"] == "matched" and one["person"] == visit.name for one in judged)
        if visit.name in known:
            frames, matched = frames + len(judged), matched + right
            granted += visit.name in names
            missed += not names
            wrong_person += any(name != visit.name for name in names)
            for one in judged:
                reasons[one["reason"]] = reasons.get(one["reason"], 0) + 1
        else:
            false_grants += bool(names)
        kind = "enrolled" if visit.name in known else "stranger"
        print(
            f"visit {visit.name:<24} {kind}  {right:>2}/{len(judged)} frames matched  granted: {names or 'no'}"
        )
    strangers = len(visits) - len(known)
    print(
        f"enrolled: {granted}/{len(known)} granted, {missed} refused, {wrong_person} taken for somebody else"
    )
    print(f"single frames of enrolled people: {matched}/{frames} matched; reasons {reasons}")
    print(f"strangers: {false_grants}/{strangers} granted")


def _facelatch(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "facelatch", "--config", str(config), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    main()
