"""Machine: one input line -> changes that can be believed. A contact that chatters is ignored, and that is told.

| state    | input                                           | next                                             |
|----------|-------------------------------------------------|--------------------------------------------------|
| unknown  | the level found as the line was claimed         | steady at it, no change                          |
| steady   | the same level again                            | steady                                           |
| steady   | the other level                                 | steady at it, CHANGE                             |
| steady   | more than MOST_EDGES edges in WINDOW_SECONDS    | unstable, believed to be as before these edges   |
| unstable | another edge                                    | unstable, its quiet begins anew                  |
| unstable | QUIET_SECONDS without an edge                   | steady at the last level, CHANGE if it is another |
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from facelatch.values.wires import Signal, Wire

MOST_EDGES = 20
"""A hand at a button makes ten a second; `inputs.bounce_seconds` lets up to fifty through."""
WINDOW_SECONDS = 1.0
QUIET_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Line:
    """One input line, and what is to be believed of it."""

    wire: Wire
    active: bool | None = None
    """The level believed in; None while nothing has been heard of it."""
    raw: bool | None = None
    """The last level heard."""
    edges: tuple[tuple[float, bool], ...] = ()
    """(when, level believed in before) of the last edges, no more than it takes to tell that it chatters."""
    unstable: bool = False
    changes: tuple[Signal, ...] = ()
    """What to believe of this turn, in order."""


def advance(line: Line, signals: Iterable[Signal], now: float) -> Line:
    """The line after this turn's signals, all of this line and in order, and the time that has passed."""
    line = replace(line, changes=())
    for signal in signals:
        line = _heard(_calmed(line, signal.at), signal)
    return _calmed(line, now)


def _heard(line: Line, signal: Signal) -> Line:
    if line.active is None:
        return replace(line, active=signal.active, raw=signal.active)
    if signal.active == line.raw:
        return line
    recent = tuple(edge for edge in line.edges if signal.at - edge[0] < WINDOW_SECONDS)
    edges = (*recent, (signal.at, line.active))[-MOST_EDGES - 1 :]
    line = replace(line, raw=signal.active, edges=edges)
    if line.unstable:
        return line
    if len(edges) > MOST_EDGES:
        return replace(_believing(line, edges[0][1], signal.at), unstable=True)
    return _believing(line, signal.active, signal.at)


def _calmed(line: Line, now: float) -> Line:
    """An unstable line that has been quiet for long enough is steady again."""
    if not line.unstable or now - line.edges[-1][0] < QUIET_SECONDS:
        return line
    return replace(_believing(line, line.raw is True, now), unstable=False, edges=())


def _believing(line: Line, active: bool, at: float) -> Line:
    if active == line.active:
        return line
    return replace(line, active=active, changes=(*line.changes, Signal(line.wire, active, at)))
