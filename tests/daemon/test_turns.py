"""The longest turn is measured on the real loop."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from facelatch.adapters import fakes
from facelatch.config.file import Config
from facelatch.diagnosis import turns
from facelatch.line.pipeline import Line
from facelatch.line.search import Pace
from facelatch.values.observations import Thresholds


def test_a_turn_that_changes_the_gallery_is_told_apart_from_those_that_look() -> None:
    """The change comes over the control socket, and the gallery is read anew."""
    loads: list[int] = []

    class Verifier(fakes.FakeVerifier):
        def embed(self, crop: Any) -> Any:
            loads.append(1)
            return super().embed(crop)

    config = Config()
    line = Line(
        finder=fakes.FakeFinder(()),
        verifier=Verifier(),
        quality=config.quality,
        thresholds=Thresholds(detection=0.5, verification=0.6, ambiguity_margin=0.2),
        similar_size_ratio=0.6,
        pace=Pace(busy_seconds=0.2, idle_seconds=1.0),
    )
    found = turns.measured(config, replace(line), people=3)
    assert found.people == 3
    assert 0 < found.longest_ms < 60_000
    assert 0 < found.changing_ms < 60_000
    assert len(loads) > turns.FRAMES / 2, "faces were judged"
