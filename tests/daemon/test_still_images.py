"""Single pictures: which of a folder make an enrolment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facelatch.adapters.fakes import FakeFinder, FakeVerifier
from facelatch.config.line import QualityConfig
from facelatch.errors import InputError
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
    thresholds=Thresholds(detection=0.5, verification=0.6, ambiguity_margin=0.2),
    similar_size_ratio=0.6,
    pace=Pace(),
)
NO_MATCH = Verdict(reason=Reason.NOT_RECOGNISED)


def judged(colour: int, yaw: float = 0.0, verdict: Verdict = NO_MATCH) -> Judged:
    crop = np.full((112, 112, 3), colour, np.uint8)
    embedding = FakeVerifier().embed(crop)
    return Judged(
        frame=0,
        track=1,
        frames=1,
        seconds=0.0,
        face=FACE,
        pose=Pose(yaw, 0, 0),
        verdict=verdict,
        crop=crop,
        embedding=embedding,
        similarities=np.zeros(0, np.float32),
    )


def test_the_kept_pictures_are_spread_over_the_poses() -> None:
    """The straightest, then always the farthest; in the order they came."""
    poses = [0.0, 0.01, 0.02, 0.5, -0.5]
    kept = still_images.spread([judged(100, yaw) for yaw in poses], 3)
    assert [one.pose.yaw for one in kept] == [0.0, 0.5, -0.5]
    assert len(still_images.spread([judged(100)], 3)) == 1


def test_no_usable_picture_is_an_error_that_names_the_folder() -> None:
    """Each picture's own reason has been told before."""
    with pytest.raises(InputError, match="holiday"):
        still_images.usable(Path("holiday"), [Still(Path("a.png"), None, "damaged")])


def test_an_empty_folder_has_no_reasons_above() -> None:
    with pytest.raises(InputError) as caught:
        still_images.usable(Path("holiday"), [])
    assert "above" not in caught.value.hint
    assert "JPEG" in caught.value.hint
