"""Machine: what goes wrong -> siren and buzzer, for how long, and who silenced them.

| state          | input                                   | next, told                              |
|----------------|-----------------------------------------|-----------------------------------------|
| quiet          | a cause (forced, held, tamper)          | sounding for `siren_seconds`, ON        |
| sounding       | another cause                           | sounding for `siren_seconds` anew, ON   |
| sounding       | its time is over                        | quiet, OFF (time)                       |
| sounding       | acknowledged                            | quiet, OFF (acknowledged)               |
| sounding       | the fire panel releases the doors       | quiet, OFF (fire)                       |
| quiet          | a cause while the fire panel does so    | quiet                                   |

The siren sounds on when the door is shut again: whoever forced it shall not silence it. The buzzer sounds with it, and
in short tones while the door is about to be called held open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

TONE_SECONDS = 0.5
"""Of the warning: so long on, so long off."""


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Somebody with the right to do so has heard it."""


class Cause(StrEnum):
    """What starts the siren."""

    FORCED = "forced"
    HELD = "held"
    TAMPER = "tamper"


@dataclass(frozen=True, slots=True)
class Alarm:
    """Whether the siren sounds, and what happened to it on this turn."""

    until: float | None = None
    """Until when, monotonic seconds; None while it is quiet."""
    begun: tuple[Cause, ...] = ()
    """Causes that came up on this turn."""
    ended: str = ""
    """Why it fell silent on this turn."""

    @property
    def sounding(self) -> bool:
        """Whether the siren sounds."""
        return self.until is not None


def advance(
    state: Alarm, causes: Sequence[Cause], now: float, *, acknowledged: bool, fire: bool, siren_seconds: float
) -> Alarm:
    """The alarm after this turn's new causes."""
    if fire or acknowledged:
        return Alarm(ended=("fire" if fire else "acknowledged") if state.sounding else "")
    if causes:
        return Alarm(until=now + siren_seconds, begun=tuple(causes))
    if state.until is not None and now >= state.until:
        return Alarm(ended="time")
    return Alarm(until=state.until)


def buzzing(state: Alarm, warned_since: float | None, now: float) -> bool:
    """Whether the buzzer sounds for it; `warned_since` is when the warning of a held door began."""
    if state.sounding:
        return True
    return warned_since is not None and (now - warned_since) % (2 * TONE_SECONDS) < TONE_SECONDS
