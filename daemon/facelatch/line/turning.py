"""How far the head of whoever is in view is turned, told to the machines as one number."""

from __future__ import annotations

from dataclasses import replace

from facelatch.values.observations import Judged, Observation
from facelatch.vision.parallax import nose_parallax


def measured(observation: Observation) -> Observation:
    """`observation` with its `parallax`, where a face was judged: those stand upright."""
    if isinstance(observation, Judged):
        return replace(observation, parallax=nose_parallax(observation.face.landmarks))
    return observation
