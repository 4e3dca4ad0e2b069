"""Machine: the exit button -> somebody leaves. By default it only says so: the way out is hardware, and stays so.

| state | input                                  | next, asks for                            |
|-------|----------------------------------------|-------------------------------------------|
| up    | found pressed as its line was claimed  | down, nothing                             |
| up    | pressed, `action` = "shunt"            | down, SHUNT: the door may be opened       |
| up    | pressed, `action` = "unlock"           | down, UNLOCK                              |
| up    | pressed, in lockdown                   | down, what `in_lockdown` says             |
| down  | released                               | up                                        |

One press is one request, however long it lasts: a button that is stuck holds nothing unlocked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from facelatch.values.wires import Signal

if TYPE_CHECKING:
    from facelatch.config.site import ExitConfig


class Leaving(StrEnum):
    """What a press asks for."""

    SHUNT = "shunt"
    UNLOCK = "unlock"


@dataclass(frozen=True, slots=True)
class ExitButton:
    """Whether it is pressed, and what that asked for on this turn."""

    down: bool = False
    asked: tuple[Leaving, ...] = ()


def advance(
    button: ExitButton, level: bool | None, changes: Iterable[Signal], in_lockdown: bool, settings: ExitConfig
) -> ExitButton:
    """The button after this turn's believed changes; `level` is what its line is believed to be now, if it has one."""
    down = button.down
    asked: list[Leaving] = []
    for change in changes:
        if change.active and not down:
            asked.append(Leaving(settings.in_lockdown if in_lockdown else settings.action))
        down = change.active
    return ExitButton(bool(level), tuple(asked))
