"""What clients ask of the site: its mode, its alarms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from facelatch.api import site_requests
from facelatch.api.answer import Answer
from facelatch.audit.events import Event, EventKind
from facelatch.control.wire import failure
from facelatch.errors import GalleryError, InputError
from facelatch.ports import ModeMemory
from facelatch.site.alarm import Acknowledge
from facelatch.site.mode import Mode, SetMode
from facelatch.site.passage import Prop


def change_mode(
    request: site_requests.Mode, view: Mapping[str, Any], told: tuple[Event, ...], modes: ModeMemory | None
) -> Answer:
    """Shows the mode, or changes it; a lockdown, or its end, is written down before the machines hear of it.

    What cannot be written: a lockdown is obeyed all the same, its end is not. Raises InputError, GalleryError.
    """
    if request.mode is None:
        return Answer({"mode": view["mode"], "mode_seconds": view["mode_seconds"]})
    mode = Mode(request.mode)
    was_lockdown = view["mode"] == Mode.LOCKDOWN.value
    if was_lockdown and mode not in (Mode.NORMAL, Mode.LOCKDOWN):
        raise InputError("the door is in lockdown", hint="`facelatch mode normal` ends it")
    command = SetMode(mode, request.seconds)
    reply = {"mode": mode.value, "mode_seconds": request.seconds}
    if modes is not None and (mode is Mode.LOCKDOWN or was_lockdown):
        try:
            modes.save(mode is Mode.LOCKDOWN)
        except GalleryError as error:
            if mode is not Mode.LOCKDOWN:
                raise
            lost = Event(EventKind.MODE_NOT_SAVED, {"HINT": f"{error}; {error.hint}"})
            return Answer(failure(error), events=(*told, lost), command=command)
    return Answer(reply, events=told, command=command)


def alarm(request: site_requests.Alarm, view: Mapping[str, Any], told: tuple[Event, ...]) -> Answer:
    """How door and alarms stand; silences them, or lets an open door stand open. Raises InputError."""
    if request.acknowledge and request.prop:
        raise InputError("acknowledge and prop exclude each other", hint="ask twice")
    if request.prop and view["door"] not in ("open", "warned", "held"):
        raise InputError("the door is not open", hint="open it first; without a door contact nothing is said anyway")
    command = Acknowledge() if request.acknowledge else Prop() if request.prop else None
    return Answer(dict(view), events=told, command=command)
