"""Machine: the door's mode. Normal, locked, free passage, lockdown.

| state        | input                                              | next                                       |
|--------------|----------------------------------------------------|--------------------------------------------|
| normal       | a window of free passage begins                    | free until its end                         |
| normal       | one begins that waits for the first person         | armed until its end                        |
| armed        | somebody is granted                                | free until its end                         |
| free, armed  | its end, a fault, an alarm, a start of the daemon  | normal                                     |
| any but      | `free` by request                                  | free for so many seconds                   |
| lockdown     |                                                    |                                            |
| any but      | `locked` by request                                | locked, for so many seconds or for good    |
| lockdown     |                                                    |                                            |
| locked       | its end                                            | normal                                     |
| any          | `lockdown` by request                              | lockdown, also over a restart              |
| any          | `normal` by request                                | normal                                     |

In `locked` nobody is let in; in lockdown nobody but admins, if `mode.lockdown_admins` says so. A window that was
ended by a fault, an alarm or a request does not begin again: the next one does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class Mode(StrEnum):
    """What holds for everybody."""

    NORMAL = "normal"
    LOCKED = "locked"
    ARMED = "armed"
    FREE = "free"
    LOCKDOWN = "lockdown"


@dataclass(frozen=True, slots=True)
class Window:
    """A time of free passage, as the schedule says it."""

    until: float
    """Monotonic seconds; also what tells one window from another."""
    after_first: bool = False
    """Free only once somebody has been granted."""


@dataclass(frozen=True, slots=True)
class SetMode:
    """Somebody with the right to do so asks for a mode."""

    mode: Mode
    seconds: float | None = None
    """For how long; None: for good, or for free passage until its own end."""


@dataclass(frozen=True, slots=True)
class State:
    """The mode, until when, and why it came."""

    mode: Mode = Mode.NORMAL
    until: float | None = None
    """Monotonic seconds; None: until it is changed."""
    reason: str = "start"
    """command, schedule, first_person, time, fault, alarm or start."""
    done: float | None = None
    """Which window has had its turn: its end."""

    @property
    def grants(self) -> bool:
        """Whether those who are recognised are let in."""
        return self.mode not in (Mode.LOCKED, Mode.LOCKDOWN)


def at_start(lockdown: bool) -> State:
    """The mode after a start: normal, or the lockdown that was in force."""
    return State(mode=Mode.LOCKDOWN if lockdown else Mode.NORMAL)


def advance(
    state: State, asked: SetMode | None, window: Window | None, now: float, *, granted: bool, ended_by: str
) -> State:
    """The mode after this turn. `ended_by` is fault or alarm when something came up that ends free passage."""
    if asked is not None and (state.mode is not Mode.LOCKDOWN or asked.mode in (Mode.NORMAL, Mode.LOCKDOWN)):
        done = window.until if window is not None else state.done
        until = now + asked.seconds if asked.seconds is not None else None
        return State(mode=asked.mode, until=until, reason="command", done=done)
    if state.mode in (Mode.FREE, Mode.ARMED):
        if ended_by:
            return State(reason=ended_by, done=state.done)
        if state.mode is Mode.ARMED and granted:
            return replace(state, mode=Mode.FREE, reason="first_person")
    if state.until is not None and now >= state.until:
        return State(reason="time", done=state.done)
    if state.mode is Mode.NORMAL and window is not None and window.until != state.done and now < window.until:
        mode = Mode.ARMED if window.after_first else Mode.FREE
        return State(mode=mode, until=window.until, reason="schedule", done=window.until)
    return state
