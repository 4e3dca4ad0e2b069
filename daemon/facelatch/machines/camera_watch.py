"""Machine: the camera's faults -> when to open it again, and when to leave it to systemd.

| state   | input                                             | next, told                                      |
|---------|---------------------------------------------------|-------------------------------------------------|
| seeing  | a fault                                           | waiting `reopen_pause_seconds`, LOST            |
| seeing  | a fault, where nothing can be opened again        | given up                                        |
| seeing  | STEADY_SECONDS without one                        | seeing; earlier tries are forgotten             |
| waiting | its time is over                                  | opening, OPEN                                   |
| opening | NEW_PICTURES new pictures                         | seeing, RECOVERED                               |
| opening | a fault, or OPENING_SECONDS without them          | waiting twice as long, up to MOST_PAUSE_SECONDS |
| opening | the same for the last of `reopen_attempts`        | given up                                        |
| given up | anything                                         | given up: the process ends, and systemd starts it |

Without a camera nobody is recognised; the exit button, the contact and the alarms go on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facelatch.config.line import CameraConfig

NEW_PICTURES = 3
"""A camera that repeats one picture for ever delivers one new one."""
OPENING_SECONDS = 10.0
"""A camera opens in about one; the limit of `stale_after_seconds` counts, too, where it is longer."""
MOST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""A camera that fails again sooner is the same trouble."""


class Sight(StrEnum):
    """Whether there is a picture."""

    SEEING = "seeing"
    WAITING = "waiting"
    OPENING = "opening"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class CameraWatch:
    """How it stands with the camera."""

    sight: Sight = Sight.SEEING
    since: float = 0.0
    """When this state began, monotonic seconds."""
    lost_at: float = 0.0
    tries: int = 0
    """How often it has been opened again, or is about to be."""
    pictures: int = 0
    """New ones since it was opened."""
    code: str = ""
    """Which fault it was."""

    @property
    def seeing(self) -> bool:
        """Whether its pictures count."""
        return self.sight is Sight.SEEING


def advance(
    state: CameraWatch, fault: str | None, new_picture: bool, now: float, settings: CameraConfig, *, reopenable: bool
) -> CameraWatch:
    """The state after this turn; `fault` is what the camera did wrong on it."""
    match state.sight:
        case Sight.SEEING if fault is not None:
            return _failed(replace(state, lost_at=now), fault, now, settings, reopenable=reopenable)
        case Sight.SEEING if state.tries and now - state.since >= STEADY_SECONDS:
            return replace(state, tries=0)
        case Sight.WAITING if now - state.since >= pause(state.tries, settings):
            return replace(state, sight=Sight.OPENING, since=now, pictures=0)
        case Sight.OPENING:
            pictures = state.pictures + new_picture
            if pictures >= NEW_PICTURES:
                return replace(state, sight=Sight.SEEING, since=now, pictures=0)
            late = now - state.since >= max(OPENING_SECONDS, settings.stale_after_seconds)
            if late or fault == "camera_failed":
                return _failed(state, fault or state.code, now, settings, reopenable=reopenable)
            return replace(state, pictures=pictures)
    return state


def pause(tries: int, settings: CameraConfig) -> float:
    """Seconds before the camera is opened for the given time."""
    return min(settings.reopen_pause_seconds * 2.0 ** min(tries - 1, 16), MOST_PAUSE_SECONDS)


def _failed(
    state: CameraWatch, code: str, now: float, settings: CameraConfig, *, reopenable: bool
) -> CameraWatch:
    tries = state.tries + 1
    if not reopenable or tries > settings.reopen_attempts:
        return replace(state, sight=Sight.GIVEN_UP, since=now, code=code)
    return replace(state, sight=Sight.WAITING, since=now, tries=tries, code=code)
