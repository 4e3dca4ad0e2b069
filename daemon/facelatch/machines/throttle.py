"""Machine: how much evidence against visitors there was lately -> how long attempts are shut off.

Judged frames that matched nobody fill a bucket, whoever stood there and however the visit ended, so that leaving before
the last frame of an attempt gains nothing. The bucket leaks steadily, so that yesterday's strangers shut out nobody.

| state      | input                                      | next                                                  |
|------------|--------------------------------------------|-------------------------------------------------------|
| any        | time passes                                | `refusal_frames` frames leak in `fade_seconds`        |
| any        | a visit ends with frames against it        | so many frames more                                   |
| open       | `refusals_before_lockout` attempts' frames | shut for `lockout_seconds`                            |
| open       | each further attempt's frames              | shut `lockout_factor` times longer, up to the maximum |
| shut       | its time is over                           | open; what is in the bucket stays                     |
| any        | a grant, or somebody with the right        | empty and open                                        |
| restarted  | it was shut before                         | shut, served again in full                            |

In the long run nobody gets more than `refusal_frames` judged frames in `fade_seconds`, after a burst of
`refusals_before_lockout` attempts: the rate of one attempt in five minutes by the defaults. A visitor who just stays is
held to that rate by a pause of their own (session.py), which shuts out nobody else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from facelatch.values.records import Throttle

if TYPE_CHECKING:
    from facelatch.config.machines import SessionConfig


@dataclass(frozen=True, slots=True)
class Bucket:
    """The evidence against visitors, and until when nobody is judged for it."""

    frames: float = 0.0
    """Judged frames that matched nobody, less what has leaked."""
    at: float = 0.0
    """When `frames` was true, monotonic seconds."""
    shut_until: float | None = None
    seconds: float = 0.0
    """How long the lock-out in force lasts altogether."""


def restored(memory: Throttle, now: float, settings: SessionConfig) -> Bucket:
    """The bucket after a restart."""
    frames = float(min(memory.refusals, _MOST_REFUSALS) * settings.refusal_frames)
    if memory.lockout_seconds <= 0:
        return Bucket(frames=frames, at=now)
    seconds = min(memory.lockout_seconds, settings.max_lockout_seconds)
    return Bucket(frames=frames, at=now, shut_until=now + seconds, seconds=seconds)


def pass_time(bucket: Bucket, now: float, settings: SessionConfig) -> Bucket:
    """The bucket at `now`: leaked, and open again when its time is over."""
    leaked = max(0.0, now - bucket.at) * settings.refusal_frames / settings.fade_seconds
    bucket = replace(bucket, frames=max(0.0, bucket.frames - leaked), at=max(now, bucket.at))
    if bucket.shut_until is not None and now >= bucket.shut_until:
        return replace(bucket, shut_until=None, seconds=0.0)
    return bucket


def add(bucket: Bucket, frames: int, now: float, settings: SessionConfig) -> Bucket:
    """The bucket after a visit that had `frames` judged frames against it."""
    if frames <= 0:
        return bucket
    bucket = replace(bucket, frames=bucket.frames + frames)
    further = refusals(bucket, settings) - settings.refusals_before_lockout
    if further < 0:
        return bucket
    # A factor of 10 would overflow after 300 refusals; 32 steps are past every maximum, or the factor is 1.
    growth = settings.lockout_factor ** min(further, 32)
    seconds = min(settings.lockout_seconds * growth, settings.max_lockout_seconds)
    return replace(bucket, shut_until=now + seconds, seconds=seconds)


def remembered(bucket: Bucket, settings: SessionConfig) -> Throttle:
    """What of it has to survive a restart."""
    return Throttle(refusals(bucket, settings), bucket.seconds)


def refusals(bucket: Bucket, settings: SessionConfig) -> int:
    """How many attempts' worth of frames is in it; rounded, because it leaks while an attempt still goes on."""
    return min(round(bucket.frames / settings.refusal_frames), _MOST_REFUSALS)


_MOST_REFUSALS = 1_000_000
