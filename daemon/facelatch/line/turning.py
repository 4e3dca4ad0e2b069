"""How far the head of whoever is in view is turned, told to the machines as one number."""

from __future__ import annotations

from dataclasses import replace

from facelatch.values.observations import Judged, Observation, Unusable
from facelatch.vision.parallax import nose_parallax


def measured(observation: Observation) -> Observation:
    """`observation` with its `parallax`, where it has one face that stands upright."""
    if isinstance(observation, Judged | Unusable) and not observation.face.turn:
        return replace(observation, parallax=nose_parallax(observation.face.landmarks))
    return observation
