"""Single pictures: which of a folder make an enrolment."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facelatch.adapters.fakes import FakeFinder, FakeVerifier
from facelatch.config.line import QualityConfig
from facelatch.line import stills as still_images
from facelatch.line.pipeline import Line
from facelatch.line.search import Pace
from facelatch.line.stills import Still
from facelatch.values.observations import Judged, Reason, Thresholds, Verdict
from facelatch.values.pictures import Box, Face, Pose

FACE = Face(Box(0, 0, 100, 100), np.zeros((5, 2), np.float32), 0.9)
LINE = Line(
    finder=FakeFinder(),
    verifier=FakeVerifier(),
    quality=QualityConfig(),
    thresholds=Thresholds(0.5, 0.6, 0.2),
    similar_size_ratio=0.6,
    pace=Pace(),
)
NO_MATCH = Verdict(reason=Reason.NOT_RECOGNISED)


def judged(colour: int, yaw: float = 0.0, verdict: Verdict = NO_MATCH) -> Judged:
    crop = np.full((112, 112, 3), colour, np.uint8)
    embedding = FakeVerifier().embed(crop)
    return Judged(
        frame=0, face=FACE,
        pose=Pose(yaw, 0, 0),
        verdict=verdict,
        crop=crop,
        embedding=embedding,
        similarities=np.zeros(0, np.float32),
    )


def problems(*colours: int) -> list[str]:
    stills = [Still(Path(f"{n}.png"), judged(colour), "") for n, colour in enumerate(colours)]
    return [still.problem for still in still_images.without_strangers(LINE, stills)]


def test_the_odd_one_out_is_named() -> None:
    """Three alike and one that no other recognises."""
    found = problems(100, 101, 102, 200)
    assert found[:3] == ["", "", ""]
    assert "does not look like" in found[3]


def test_pictures_that_are_all_unlike_are_left_to_the_person_who_chose_them() -> None:
    """Nobody can tell which of them is the wrong one."""
    assert problems(10, 120, 240) == ["", "", ""]
    assert problems(10, 240) == ["", ""]


def test_a_single_picture_and_none_are_fine() -> None:
    """Nothing to compare with."""
    assert problems(100) == [""]
    assert problems() == []


def test_a_copy_is_named_once() -> None:
    """The first of two equal pictures stays."""
    found = problems(100, 100, 101)
    assert found == ["", "a copy of another picture", ""]


def test_the_kept_pictures_are_spread_over_the_poses() -> None:
    """The straightest, then always the farthest; in the order they came."""
    poses = [0.0, 0.01, 0.02, 0.5, -0.5]
    kept = still_images.spread([judged(100, yaw) for yaw in poses], 3)
    assert [one.pose.yaw for one in kept] == [0.0, 0.5, -0.5]
    assert len(still_images.spread([judged(100)], 3)) == 1
