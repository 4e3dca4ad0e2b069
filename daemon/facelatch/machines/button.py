"""Machine: edges of the button -> gestures.

| state               | input                               | next, gesture                           |
|---------------------|-------------------------------------|-----------------------------------------|
| up (start)          | found down as its line was claimed  | early: nobody pressed it for us         |
| up                  | pressed                             | down, PRESS                             |
| down                | held for `hold_seconds`             | held, HOLD                              |
| down                | released before                     | up                                      |
| held                | released                            | up                                      |
| early, down, held   | down for `stuck_after_seconds`      | ignored, STUCK                          |
| early, ignored      | anything but released               | as it was                               |
| early, ignored      | released                            | up                                      |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from facelatch.values.wires import Edge, EdgeKind

if TYPE_CHECKING:
    from facelatch.config.machines import EnrolmentConfig


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
    HOLD = "hold"
    STUCK = "stuck"


@dataclass(frozen=True, slots=True)
class Button:
    """The button's position, since when, and what was recognised on this turn."""

    position: Position = Position.UP
    since: float = 0.0
    """When it went down, monotonic seconds."""
    gestures: tuple[Gesture, ...] = ()
    """What happened on this turn, in order."""

    @property
    def is_down(self) -> bool:
        """Whether a working button is being pressed."""
        return self.position in (Position.DOWN, Position.HELD)


def advance(button: Button, edges: Sequence[Edge], now: float, settings: EnrolmentConfig) -> Button:
    """The button after this turn's edges and the time that has passed."""
    button = Button(button.position, button.since)
    for edge in edges:
        button = _edge(_held(button, edge.at, settings), edge)
    return _held(button, now, settings)


def _edge(button: Button, edge: Edge) -> Button:
    if edge.kind is EdgeKind.RELEASED:
        return Button(Position.UP, gestures=button.gestures)
    if button.position is not Position.UP:
        return button
    if edge.kind is EdgeKind.FOUND_DOWN:
        return Button(Position.EARLY, edge.at)
    return Button(Position.DOWN, edge.at, (*button.gestures, Gesture.PRESS))


def _held(button: Button, now: float, settings: EnrolmentConfig) -> Button:
    """Down long enough to mean something more? Stuck first: a long stall of the loop must not arm."""
    waiting = button.is_down or button.position is Position.EARLY
    if waiting and now - button.since >= settings.stuck_after_seconds:
        return Button(Position.IGNORED, button.since, (*button.gestures, Gesture.STUCK))
    if button.position is Position.DOWN and now - button.since >= settings.hold_seconds:
        return Button(Position.HELD, button.since, (*button.gestures, Gesture.HOLD))
    return button
