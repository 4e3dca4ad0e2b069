"""Machine: the door contact -> who opened the door, whether anybody may have, and for how long it stands open.

| state                            | input                                  | next, told                          |
|----------------------------------|----------------------------------------|-------------------------------------|
| unwatched                        | anything, while there is no contact    | unwatched                           |
| unwatched                        | found shut                             | shut                                |
| unwatched                        | found open                             | open, FOUND_OPEN                    |
| shut                             | somebody is released                   | expecting PERSON                    |
| shut                             | opens while unlocked, or at a fire     | open, OPENED                        |
| shut                             | opens                                  | forced, FORCED                      |
| expecting                        | somebody is released                   | expecting, PERSON is the later one  |
| expecting                        | opens                                  | open, OPENED by PERSON              |
| expecting                        | locked, and `open_within_seconds` over | shut, NOT_TAKEN by PERSON           |
| open                             | closes                                 | shut, CLOSED                        |
| open                             | `held_warning_seconds`                 | warned, HELD_WARNING                |
| warned                           | `held_seconds`                         | held, HELD_OPEN                     |
| warned, held, forced             | closes                                 | shut, SECURED                       |
| open, warned, held               | propped by request                     | propped for `prop_seconds`, PROPPED |
| propped                          | its time is over                       | open since then                     |
| propped                          | closes                                 | shut, CLOSED                        |
| open, warned, held               | free passage, or a fire                | open since now                      |
| forced                           | a fire                                 | open since now                      |
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from facelatch.values.wires import Signal

if TYPE_CHECKING:
    from facelatch.config.machines import DoorConfig


class Stage(StrEnum):
    """What the contact says of the door."""

    UNWATCHED = "unwatched"
    SHUT = "shut"
    EXPECTING = "expecting"
    OPEN = "open"
    WARNED = "warned"
    HELD = "held"
    FORCED = "forced"
    PROPPED = "propped"


class Told(StrEnum):
    """What happened on a turn."""

    FOUND_OPEN = "found_open"
    OPENED = "opened"
    NOT_TAKEN = "not_taken"
    CLOSED = "closed"
    FORCED = "forced"
    HELD_WARNING = "held_warning"
    HELD_OPEN = "held_open"
    SECURED = "secured"
    PROPPED = "propped"


@dataclass(frozen=True, slots=True)
class Prop:
    """Somebody with the right to do so wants the door to stand open for a while."""


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that happened on this turn."""

    what: Told
    person: str
    """Who was released; empty when nobody was."""
    seconds: float
    """For how long the door has been open, or will be propped."""


@dataclass(frozen=True, slots=True)
class Passage:
    """The door as its contact shows it."""

    stage: Stage = Stage.UNWATCHED
    since: float = 0.0
    """When it was opened, or its time open began anew; monotonic seconds."""
    until: float = 0.0
    """EXPECTING: until when it should be opened. PROPPED: until when it may stay open."""
    person: str = ""
    remarks: tuple[Remark, ...] = ()
    """What happened on this turn, in order."""

    @property
    def is_open(self) -> bool:
        """Whether the contact says that the door is open."""
        return self.stage not in (Stage.UNWATCHED, Stage.SHUT, Stage.EXPECTING)

    @property
    def is_shut(self) -> bool:
        """Whether the contact says that the door is shut."""
        return self.stage in (Stage.SHUT, Stage.EXPECTING)


@dataclass(frozen=True, slots=True)
class Around:
    """What else there is to know on this turn."""

    contact: bool | None = None
    """Whether the contact is believed to be open; None without one."""
    released: tuple[str, ...] = ()
    """Who was let through on this turn: names, or how they asked for it."""
    unlocked: bool = False
    """Whether the lock is unlocked."""
    excused: bool = False
    """Free passage or a fire: the door may be open for as long as it likes."""
    fire: bool = False
    prop: bool = False
    """Somebody with the right to do so wants it to stay open for a while."""


def advance(
    state: Passage, changes: Iterable[Signal], around: Around, now: float, settings: DoorConfig
) -> Passage:
    """The door after this turn: who was released comes first, then what the contact did, then the time."""
    state = replace(state, remarks=())
    if around.contact is None:
        return state
    if state.stage is Stage.UNWATCHED:
        state = _found(around.contact, now)
    for person in around.released:
        if state.is_shut:
            until = now + settings.open_within_seconds
            state = replace(state, stage=Stage.EXPECTING, person=person, until=until)
    for change in changes:
        state = _opens(state, change.at, around) if change.active else _closes(state, change.at)
    if state.is_open:
        return _stays(state, around, now, settings)
    if state.stage is Stage.EXPECTING and not around.unlocked and now >= state.until:
        return _told(replace(state, stage=Stage.SHUT, person=""), Told.NOT_TAKEN, state.person, 0.0)
    return state


def _found(is_open: bool, now: float) -> Passage:
    if not is_open:
        return Passage(stage=Stage.SHUT)
    return _told(Passage(stage=Stage.OPEN, since=now), Told.FOUND_OPEN, "", 0.0)


def _opens(state: Passage, at: float, around: Around) -> Passage:
    if state.is_open:
        return state
    if state.stage is Stage.EXPECTING or around.unlocked or around.excused:
        return _told(replace(state, stage=Stage.OPEN, since=at), Told.OPENED, state.person, 0.0)
    return _told(replace(state, stage=Stage.FORCED, since=at, person=""), Told.FORCED, "", 0.0)


def _closes(state: Passage, at: float) -> Passage:
    if not state.is_open:
        return state
    harmless = state.stage in (Stage.OPEN, Stage.PROPPED)
    shut = replace(state, stage=Stage.SHUT, person="")
    return _told(shut, Told.CLOSED if harmless else Told.SECURED, state.person, max(0.0, at - state.since))


def _stays(state: Passage, around: Around, now: float, settings: DoorConfig) -> Passage:
    """An open door as time passes."""
    if around.fire or (around.excused and state.stage in (Stage.OPEN, Stage.WARNED, Stage.HELD)):
        return replace(state, stage=Stage.OPEN, since=now)
    if around.prop and state.stage in (Stage.OPEN, Stage.WARNED, Stage.HELD):
        propped = replace(state, stage=Stage.PROPPED, until=now + settings.prop_seconds)
        return _told(propped, Told.PROPPED, state.person, settings.prop_seconds)
    if state.stage is Stage.PROPPED and now >= state.until:
        state = replace(state, stage=Stage.OPEN, since=now)
    seconds = now - state.since
    if state.stage is Stage.OPEN and seconds >= settings.held_warning_seconds:
        state = _told(replace(state, stage=Stage.WARNED), Told.HELD_WARNING, state.person, seconds)
    if state.stage is Stage.WARNED and seconds >= settings.held_seconds:
        state = _told(replace(state, stage=Stage.HELD), Told.HELD_OPEN, state.person, seconds)
    return state


def _told(state: Passage, what: Told, person: str, seconds: float) -> Passage:
    return replace(state, remarks=(*state.remarks, Remark(what=what, person=person, seconds=seconds)))
