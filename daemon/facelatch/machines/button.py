"""Machine: edges of the button -> gestures.

| state               | input                               | next, gesture                           |
|---------------------|-------------------------------------|-----------------------------------------|
| up (start)          | found down as its line was claimed  | early: nobody pressed it for us         |
| up                  | pressed                             | down, PRESS                             |
| up                  | for `PAUSE_SECONDS` after two taps  | up, TWICE                               |
| up                  | for `PAUSE_SECONDS` after others    | up, the taps are forgotten              |
| down                | held for `hold_seconds`             | held, HOLD                              |
| down                | released after a tap's time         | up, one tap more                        |
| down                | released earlier, a bounce          | up                                      |
| down                | released later                      | up, too many taps                       |
| held                | released                            | up                                      |
| early, down, held   | down for `stuck_after_seconds`      | ignored, STUCK                          |
| early, ignored      | anything but released               | as it was                               |
| early, ignored      | released                            | up                                      |

While the button has another meaning (somebody is being enrolled) taps are not counted, nor are those that follow
without a pause: whoever presses in a hurry to end an enrolment means nothing else by it. `GESTURES` says what every
gesture is for; two that began alike could not be told apart, so a new one has to find its place there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from facelatch.values.wires import Edge, EdgeKind

if TYPE_CHECKING:
    from facelatch.config.machines import EnrolmentConfig

TAP_SECONDS = (0.04, 0.5)
"""How long a short press lasts: a contact bounces for less, and whoever holds the button means something else."""

PAUSE_SECONDS = 0.6
"""Two presses belong together if less than this lies between; after as long without a third they were two."""

_TOO_MANY = 3


class Position(StrEnum):
    """What the debounced line is taken for: up, down, or stuck and therefore ignored."""

    UP = "up"
    EARLY = "early"
    DOWN = "down"
    HELD = "held"
    IGNORED = "ignored"


class Gesture(StrEnum):
    """What pressing and releasing amounted to, once it can be told apart."""

    PRESS = "press"
    TWICE = "twice"
    HOLD = "hold"
    STUCK = "stuck"


GESTURES: Mapping[Gesture, tuple[str, str]] = {
    Gesture.HOLD: ("held for `enrolment.hold_seconds`", "begins an enrolment"),
    Gesture.PRESS: (
        "pressed",
        "while somebody is being enrolled: ends it, or keeps the person where the LED asks for that; else nothing",
    ),
    Gesture.TWICE: (
        "pressed briefly twice, then not again",
        "while nobody is being enrolled: shows the camera's picture on the console for five minutes, or ends that",
    ),
    Gesture.STUCK: ("down for `enrolment.stuck_after_seconds`", "ignored until released; ends an enrolment"),
}
"""Every gesture there is: how it is made, and what it is for."""


@dataclass(frozen=True, slots=True)
class Button:
    """The button's position, since when, and what was recognised on this turn."""

    position: Position = Position.UP
    since: float = 0.0
    """When it went down, monotonic seconds."""
    gestures: tuple[Gesture, ...] = ()
    """What happened on this turn, in order."""
    taps: int = 0
    """Short presses without a pause so far."""
    tapped: float = 0.0
    """When the last of them ended."""

    @property
    def is_down(self) -> bool:
        """Whether a working button is being pressed."""
        return self.position in (Position.DOWN, Position.HELD)


def advance(
    button: Button, edges: Sequence[Edge], now: float, settings: EnrolmentConfig, *, free: bool = True
) -> Button:
    """The button after this turn's edges and the time that has passed. `free`: two taps may mean something."""
    button = replace(button, gestures=())
    for edge in edges:
        button = _edge(_passed(button, edge.at, settings), edge)
    button = _passed(button, now, settings)
    return button if free else replace(button, taps=_TOO_MANY, tapped=now)


def _edge(button: Button, edge: Edge) -> Button:
    if edge.kind is EdgeKind.RELEASED:
        return _released(button, edge.at)
    if button.position is not Position.UP:
        return button
    if edge.kind is EdgeKind.FOUND_DOWN:
        return Button(position=Position.EARLY, since=edge.at)
    pressed = (*button.gestures, Gesture.PRESS)
    return replace(button, position=Position.DOWN, since=edge.at, gestures=pressed)


def _released(button: Button, at: float) -> Button:
    up = replace(button, position=Position.UP, since=0.0)
    shortest, longest = TAP_SECONDS
    if button.position is not Position.DOWN:
        return Button(gestures=button.gestures)
    if at - button.since < shortest:
        return up
    taps = _TOO_MANY if at - button.since > longest else min(button.taps + 1, _TOO_MANY)
    return replace(up, taps=taps, tapped=at)


def _passed(button: Button, now: float, settings: EnrolmentConfig) -> Button:
    """Up or down long enough to mean something more? Stuck first: a long stall of the loop must not arm."""
    waiting = button.is_down or button.position is Position.EARLY
    if waiting and now - button.since >= settings.stuck_after_seconds:
        stuck = (*button.gestures, Gesture.STUCK)
        return Button(position=Position.IGNORED, since=button.since, gestures=stuck)
    if button.position is Position.DOWN and now - button.since >= settings.hold_seconds:
        return Button(position=Position.HELD, since=button.since, gestures=(*button.gestures, Gesture.HOLD))
    if button.position is Position.UP and button.taps and now - button.tapped >= PAUSE_SECONDS:
        return Button(gestures=(*button.gestures, *([Gesture.TWICE] if button.taps == 2 else ())))
    return button


def card() -> list[tuple[str, str]]:
    """The gestures for people: what is done, and what it means."""
    return list(GESTURES.values())
