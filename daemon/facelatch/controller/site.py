"""Joins the machines of the site: what the inputs, the mode and the alarms mean for the door on this turn.

The order of things on a turn: `hear` (lines, exit button, mode), then the session, then `pass_through` (contact,
alarm), then `order`, which is all that the door is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from facelatch.config.file import Config
from facelatch.machines import door
from facelatch.machines.door import Order
from facelatch.site import alarm, chatter, exit_button, mode, passage
from facelatch.site.alarm import Acknowledge, Alarm, Cause
from facelatch.site.exit_button import ExitButton, Leaving
from facelatch.site.mode import Mode, SetMode, Window
from facelatch.site.passage import Around, Passage, Prop, Stage, Told
from facelatch.values.observations import Judged, Observation
from facelatch.values.records import Person
from facelatch.values.wires import LockLevel, Signal, Wire

SiteCommand = SetMode | Acknowledge | Prop
"""What the control socket may ask of the site."""

EXIT = "exit button"
"""In place of a name, for whoever leaves."""

_CAUSES = {Told.FORCED: Cause.FORCED, Told.HELD_OPEN: Cause.HELD}


@dataclass(frozen=True, slots=True)
class Site:
    """Everything about the site that is remembered from turn to turn."""

    lines: tuple[chatter.Line, ...] = tuple(chatter.Line(wire=wire) for wire in Wire)
    exit: ExitButton = ExitButton()  # noqa: RUF009  (frozen and empty, as the others)
    passage: Passage = Passage()  # noqa: RUF009
    alarm: Alarm = Alarm()  # noqa: RUF009
    mode: mode.State = mode.State()  # noqa: RUF009
    leaving_until: float = 0.0
    """Until when the door is unlocked for somebody who leaves; an enrolment or a lost camera does not end that."""

    def line(self, wire: Wire) -> chatter.Line:
        """What is believed of one input."""
        return next(line for line in self.lines if line.wire is wire)

    @property
    def fire(self) -> bool:
        """Whether the fire panel releases the doors."""
        return self.line(Wire.FIRE).active is True

    @property
    def free(self) -> bool:
        """Whether there is free passage."""
        return self.mode.mode is Mode.FREE


@dataclass(frozen=True, slots=True)
class Heard:
    """What a turn brought in for the site."""

    now: float
    signals: Sequence[Signal]
    commands: Sequence[object]
    """Those of the site among others."""
    window: Window | None
    """The time of free passage that the schedule names, if now is one."""
    trouble: bool
    """Whether something is broken."""
    granted: bool
    """Whether somebody was let in on the turn before."""


def hear(site: Site, heard: Heard, settings: Config) -> Site:
    """The lines, the exit button and the mode after what came in: a lockdown holds for this turn's face already."""
    lines = tuple(
        chatter.advance(line, [one for one in heard.signals if one.wire is line.wire], heard.now)
        for line in site.lines
    )
    site = replace(site, lines=lines)
    asked: list[SetMode | None] = [command for command in heard.commands if isinstance(command, SetMode)]
    ended_by = "fault" if heard.trouble else "alarm" if site.alarm.begun else ""
    state = site.mode
    for one in asked or [None]:
        if one is not None and one.mode is Mode.FREE and one.seconds is None:
            one = replace(one, seconds=settings.mode.free_seconds)
        state = mode.advance(state, one, heard.window, heard.now, granted=heard.granted, ended_by=ended_by)
    line = site.line(Wire.EXIT)
    lockdown = state.mode is Mode.LOCKDOWN
    pressed = exit_button.advance(site.exit, line.active, line.changes, lockdown, settings.exit)
    unlocks = Leaving.UNLOCK in pressed.asked
    until = heard.now + settings.door.unlock_seconds if unlocks else site.leaving_until
    return replace(site, mode=state, exit=pressed, leaving_until=until)


def admitted(site: Site, observation: Observation | None, settings: Config) -> bool:
    """Whether the session may look at this: while locked nobody is judged, in a lockdown admins at most."""
    person = observation.verdict.person if isinstance(observation, Judged) else None
    return _lets_in(site, settings, admin=person is not None and person.admin)


def lets_in(site: Site, person: Person, settings: Config) -> bool:
    """Whether this mode lets in `person`, should the face be theirs."""
    return _lets_in(site, settings, admin=person.admin)


def lets_anybody_in(site: Site, settings: Config) -> bool:
    """Whether a second factor is asked for at all: while nobody may come in, nobody is."""
    return _lets_in(site, settings, admin=True)


def _lets_in(site: Site, settings: Config, *, admin: bool) -> bool:
    """Whether this mode lets in whoever is recognised, who is an `admin` or is not."""
    return site.mode.grants or (admin and site.mode.mode is Mode.LOCKDOWN and settings.mode.lockdown_admins)


def pass_through(
    site: Site, heard: Heard, before: door.Door, granted: str | None, settings: Config
) -> Site:
    """The contact and the alarm after this turn; `granted` is whom the door opens for on it."""
    released = (*([granted] if granted is not None else []), *(EXIT for _ in site.exit.asked))
    contact = site.line(Wire.CONTACT)
    around = Around(
        contact=contact.active,
        released=released,
        unlocked=isinstance(before, door.Unlocked),
        excused=site.free or site.fire,
        fire=site.fire,
        prop=any(isinstance(command, Prop) for command in heard.commands),
    )
    passed = passage.advance(site.passage, contact.changes, around, heard.now, settings.door)
    causes = [_CAUSES[remark.what] for remark in passed.remarks if remark.what in _CAUSES]
    sounding = alarm.advance(
        site.alarm,
        causes + _tampering(site),
        heard.now,
        acknowledged=any(isinstance(command, Acknowledge) for command in heard.commands),
        fire=site.fire,
        siren_seconds=settings.outputs.siren_seconds,
    )
    return replace(site, passage=passed, alarm=sounding)


def _tampering(site: Site) -> list[Cause]:
    return [Cause.TAMPER for change in site.line(Wire.TAMPER).changes if change.active]


def thawed(was: Site, site: Site, door_before: door.Door, now: float, settings: Config) -> door.Door:
    """The door as free passage leaves it: locked, but for a bolt that would meet an open door."""
    bolt = settings.door.relock == "closed" and site.passage.is_open
    if was.free and not site.free and bolt:
        return door.Unlocked(now, now + settings.door.max_unlock_seconds)
    return door_before


def permitted(site: Site, base: Order, settings: Config, *, admin: bool) -> Order:
    """What is left, in this mode, of what the door would be told: a grant, perhaps for an `admin`, may not hold."""
    return base if _lets_in(site, settings, admin=admin and base is Order.GRANT) else Order.LOCK


def order(site: Site, base: Order, *, ending: bool, now: float, settings: Config) -> Order:
    """What the door is told, when without the site it would be told `base`. `ending`: the process ends."""
    if ending or site.free:  # free passage is a level of its own, beside the door's
        return Order.LOCK
    if Leaving.UNLOCK in site.exit.asked:
        return Order.GRANT
    if base is Order.LOCK and now < site.leaving_until:
        base = Order.WAIT
    return base if base is Order.GRANT else _relocked(site, base, settings)


def _relocked(site: Site, base: Order, settings: Config) -> Order:
    """`door.relock`: a strike may lock as soon as the door is open, a bolt must not before it is shut."""
    if settings.door.relock == "time":
        return base
    told = {remark.what for remark in site.passage.remarks}
    if settings.door.relock == "opened":
        return Order.LOCK if Told.OPENED in told else base
    if site.passage.is_open:
        return Order.HOLD
    return Order.LOCK if told & {Told.CLOSED, Told.SECURED} else base


def level(site: Site, after: door.Door, *, ending: bool) -> LockLevel:
    """What the lock is to hold."""
    return LockLevel.FREE if site.free and not ending else after.level


def relock_reason(site: Site, settings: Config) -> str:
    """Why the door has just locked, when neither a fault, a stop nor an enrolment did it."""
    told = {remark.what for remark in site.passage.remarks}
    if settings.door.relock == "closed" and site.passage.is_open:
        return "ceiling"
    if settings.door.relock == "closed" and told & {Told.CLOSED, Told.SECURED}:
        return "closed"
    if settings.door.relock == "opened" and Told.OPENED in told:
        return "opened"
    return "time" if site.mode.grants else "mode"


def buzzes(site: Site, now: float, settings: Config) -> bool:
    """Whether the buzzer sounds for the site on this turn."""
    warned = site.passage.since + settings.door.held_warning_seconds
    return alarm.buzzing(site.alarm, warned if site.passage.stage is Stage.WARNED else None, now)


def view(site: Site, now: float) -> dict[str, object]:
    """For the control socket."""
    until = site.mode.until
    return {
        "mode": site.mode.mode.value,
        "mode_seconds": round(max(0.0, until - now), 1) if until is not None else None,
        "door": site.passage.stage.value,
        "alarm": site.alarm.sounding,
        "fire": site.fire,
        "tamper": site.line(Wire.TAMPER).active is True,
        "unstable": [line.wire.value for line in site.lines if line.unstable],
    }
