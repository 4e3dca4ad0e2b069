"""Machine: pictures -> is this one new? A repeated picture is never evidence; a frozen one is a fault.

| state             | input                                             | next                             |
|-------------------|---------------------------------------------------|----------------------------------|
| any               | no new frame on this turn, or one that is clipped | unchanged, not fresh             |
| nothing seen yet  | a picture                                         | seen; new since now, fresh       |
| seen              | a picture that is none of the last REMEMBERED     | seen; new since now, fresh       |
| seen              | one of the last REMEMBERED again                  | seen; new as before, not fresh   |
| seen              | nothing but those for `frozen_after_seconds`      | the same, and frozen             |

Real sensors are noisy: two pictures that agree in every pixel come from a driver, or from somebody's injected
recording, but not from a face in front of the lens. A loop of pictures is known again for REMEMBERED frames; only where
recordings are shown on purpose, for a trial (`camera.source = "files"`), the picture before is all that is remembered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facelatch.config.line import CameraConfig

REMEMBERED = 1024
"""Pictures: over a minute at 15 frames per second."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """What is known of the newest pictures."""

    recent: tuple[int, ...] = ()
    """Fingerprints of the last pictures, each once, the newest last."""
    since: float = 0.0
    """When the last picture came that was none of those before, monotonic seconds."""
    fresh: bool = False
    """Whether the frame of this turn is such a one."""
    frozen: bool = False


def advance(state: Freshness, fingerprint: int | None, now: float, settings: CameraConfig) -> Freshness:
    """The state after this turn; `fingerprint` of the whole picture, None when no new frame came or it is clipped."""
    if fingerprint is None:
        return Freshness(recent=state.recent, since=state.since, frozen=state.frozen)
    remembered = 1 if settings.source == "files" else REMEMBERED
    if fingerprint in state.recent[-remembered:]:
        frozen = now - state.since >= settings.frozen_after_seconds
        return Freshness(recent=state.recent, since=state.since, frozen=frozen)
    return Freshness(recent=(*state.recent, fingerprint)[-remembered:], since=now, fresh=True)
