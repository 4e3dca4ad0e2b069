"""An hour of visits: every visit has exactly one outcome, memory stays flat, nothing is left open."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soak
from soak import Outcome, Sample, Visit

from facelatch.app import model_files
from facelatch.config.file import Config
from facelatch.config.shipped import shipped_file

MINUTES = 60
SECONDS = 1500
"""Far more than the hour takes, also on a busy machine."""
MOST_MB_PER_HOUR = 4.0
"""A crop kept of every visit would be 15 MB; see the figures in tests/system/README.md."""

VISITS = [Visit("person", 10.0, 12.0), Visit("stranger", 20.0, 22.0), Visit("two at once", 30.0, 31.0)]
OUTCOMES = [
    Outcome(11.0, "visit.granted", 1),
    Outcome(21.0, "visit.refused", None),
    Outcome(33.0, "visit.abandoned", None),
]
SAMPLES = [Sample(20.0 * n, 200.0 + n % 3, 16 + n % 2, 6 + n % 4) for n in range(180)]


def test_an_hour_that_went_well_is_judged_so():
    assert soak.judge_visits(VISITS, OUTCOMES) == []
    assert soak.judge_memory(SAMPLES, MOST_MB_PER_HOUR) == []
    assert soak.judge_handles(SAMPLES) == []


@pytest.mark.parametrize(
    "outcomes",
    [
        [*OUTCOMES, Outcome(11.1, "visit.granted", 1)],
        OUTCOMES[:2],
        [Outcome(1.0, "visit.abandoned", None), *OUTCOMES],
        [OUTCOMES[0], Outcome(21.0, "visit.granted", 1), OUTCOMES[2]],
    ],
    ids=["told twice", "not told", "told of nobody", "a stranger let in"],
)
def test_a_visit_told_wrongly_is_seen(outcomes: list[Outcome]):
    assert soak.judge_visits(VISITS, outcomes) != []


def test_a_small_leak_is_seen_and_a_single_peak_is_none():
    leaking = [replace(sample, megabytes=sample.megabytes + 6 * sample.at / 3600) for sample in SAMPLES]
    assert soak.judge_memory(leaking, MOST_MB_PER_HOUR) != []
    peak = [*SAMPLES[:-1], replace(SAMPLES[-1], megabytes=900.0)]
    assert soak.judge_memory(peak, MOST_MB_PER_HOUR) == []


@pytest.mark.parametrize("what", ["files", "threads"])
def test_one_handle_that_stays_open_is_seen(what: str):
    late: list[dict[str, Any]] = [{what: getattr(sample, what) + (sample.at > 1800)} for sample in SAMPLES]
    leaking = [replace(sample, **more) for sample, more in zip(SAMPLES, late, strict=True)]
    assert len(soak.judge_handles(leaking)) == 1


@pytest.mark.slow
@pytest.mark.first
@pytest.mark.skipif(
    not (
        model_files.siamese_path(Config().model).is_file() and shipped_file("models", "finder.tflite").is_file()
    ),
    reason="models/siamese.tflite or models/finder.tflite is not there",
)
def test_an_hour_of_visits_leaves_nothing_behind(tmp_path: Path):
    """In a process of its own: what other tests hold is not this one's."""
    script, out = Path(soak.__file__), tmp_path / "soak.json"
    done = subprocess.run(
        [sys.executable, script, out, str(MINUTES)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(out.read_text(encoding="utf-8"))
    visits, outcomes = [Visit(**v) for v in seen["visits"]], [Outcome(**o) for o in seen["outcomes"]]
    samples = [Sample(**s) for s in seen["samples"]]
    growth = soak.growth_per_hour(samples[len(samples) // 4 :])
    sys.stdout.write(f"measured: {len(visits)} visits, {seen['answers']} answers, {len(samples)} samples, ")
    sys.stdout.write(f"{samples[-1].megabytes:.0f} MB growing by {growth:.2f} MB an hour\n")
    assert len(visits) > MINUTES * 5
    assert seen["answers"] > MINUTES * 5
    assert soak.judge_visits(visits, outcomes) == []
    assert soak.judge_memory(samples, MOST_MB_PER_HOUR) == []
    assert soak.judge_handles(samples) == []
