"""Machine: for how long the camera's picture may be seen on the console, so that somebody can aim it.

| state  | input                                                   | next                              |
|--------|---------------------------------------------------------|-----------------------------------|
| off    | two taps of the button, or asked for by root            | armed until `AIM_SECONDS` later   |
| off    | the same while something bars it                        | off                               |
| armed  | asked for by root                                       | armed until `AIM_SECONDS` later   |
| armed  | two taps, or somebody asks for its end                  | off (button, asked)               |
| armed  | something bars it                                       | off (what bars it)                |
| armed  | the time is over                                        | off (expired)                     |

An enrolment, a lockdown, an alarm, and the end of the process bar it. It says nothing to any other machine: whether
the door opens never depends on it. It is not written down: after a restart it is off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

AIM_SECONDS = 300.0

BUTTON, COMMAND = "button", "command"
"""How it may be armed."""


@dataclass(frozen=True, slots=True)
class Aim:
    """Somebody on the control socket wants the picture to be shown, or not any more."""

    on: bool


@dataclass(frozen=True, slots=True)
class Aiming:
    """Whether the picture may be seen."""

    until: float | None = None
    """Until when, monotonic seconds; None: it may not."""
    since: float = 0.0
    origin: str = ""
    """BUTTON or COMMAND."""
    ended: str = ""
    """Why it ended on this turn: button, asked, expired, or what bars it."""
    barred: str = ""
    """What forbids it now; empty: nothing does."""


def advance(state: Aiming, wishes: Sequence[Aim], taps: int, now: float, barred: str) -> Aiming:
    """The state after this turn: `taps` counts how often the button was tapped twice, `barred` names what bars it."""
    state = replace(state, ended="", barred="")
    if state.until is not None and now >= state.until:
        state = Aiming(ended="expired")
    for _ in range(taps):
        state = _armed(BUTTON, now) if state.until is None else Aiming(ended="button")
    for wish in wishes:
        if wish.on:
            state = _armed(COMMAND, now)
        elif state.until is not None:
            state = Aiming(ended="asked")
    if barred and state.until is not None:
        state = Aiming(ended=barred)
    return replace(state, barred=barred)


def _armed(origin: str, now: float) -> Aiming:
    return Aiming(until=now + AIM_SECONDS, since=now, origin=origin)
