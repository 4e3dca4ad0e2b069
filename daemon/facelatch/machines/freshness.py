"""Machine: pictures -> is this one new? A repeated picture is never evidence; a frozen one is a fault.

| state             | input                                            | next                            |
|-------------------|--------------------------------------------------|---------------------------------|
| any               | no new frame on this turn                        | unchanged, not fresh            |
| nothing seen yet  | a picture                                        | seen since now, fresh           |
| seen              | another picture                                  | seen since now, fresh           |
| seen              | the same picture again                           | since unchanged, not fresh      |
| seen              | the same one after `frozen_after_seconds`        | the same, and frozen            |

Real sensors are noisy: two pictures that agree in every pixel come from a driver, or from somebody's
injected recording, but not from a face in front of the lens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facelatch.config.line import CameraConfig


@dataclass(frozen=True, slots=True)
class Freshness:
    """What is known of the newest picture."""

    fingerprint: int | None = None
    since: float = 0.0
    """When this picture was first seen, monotonic seconds."""
    fresh: bool = False
    """Whether the frame of this turn differs from the one before."""
    frozen: bool = False


def advance(state: Freshness, fingerprint: int | None, now: float, settings: CameraConfig) -> Freshness:
    """The state after this turn; `fingerprint` of the whole picture, None when no new frame came."""
    if fingerprint is None:
        return Freshness(fingerprint=state.fingerprint, since=state.since, frozen=state.frozen)
    if fingerprint != state.fingerprint:
        return Freshness(fingerprint=fingerprint, since=now, fresh=True)
    return Freshness(
        fingerprint=fingerprint, since=state.since, frozen=now - state.since >= settings.frozen_after_seconds
    )
