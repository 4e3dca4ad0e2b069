"""What changed at the site between two turns, as audit events."""

from __future__ import annotations

from collections.abc import Iterator

from facelatch.audit.events import Event, EventKind, Value
from facelatch.controller.site import Site
from facelatch.machines.camera_watch import CameraWatch
from facelatch.site.mode import Mode
from facelatch.site.passage import Remark, Told
from facelatch.values.wires import Wire

_PASSAGES = {
    Told.FOUND_OPEN: EventKind.DOOR_FOUND_OPEN,
    Told.OPENED: EventKind.DOOR_OPENED,
    Told.NOT_TAKEN: EventKind.DOOR_NOT_TAKEN,
    Told.CLOSED: EventKind.DOOR_CLOSED,
    Told.FORCED: EventKind.DOOR_FORCED,
    Told.HELD_WARNING: EventKind.DOOR_HELD_WARNING,
    Told.HELD_OPEN: EventKind.DOOR_HELD_OPEN,
    Told.SECURED: EventKind.DOOR_SECURED,
    Told.PROPPED: EventKind.DOOR_PROPPED,
}

_LEVELS = {
    Wire.TAMPER: (EventKind.TAMPER_OPENED, EventKind.TAMPER_CLOSED),
    Wire.FIRE: (EventKind.FIRE_RELEASED, EventKind.FIRE_ENDED),
}


def of_site(before: Site, after: Site) -> Iterator[Event]:
    """Everything that the site's machines did on this turn, causes before effects."""
    for was, line in zip(before.lines, after.lines, strict=True):
        if line.unstable and not was.unstable:
            yield Event(EventKind.INPUT_UNSTABLE, {"KEY": f"inputs.{line.wire.value}_pin"})
        if line.wire in _LEVELS and (was.active is True) != (line.active is True):
            yield Event(_LEVELS[line.wire][0 if line.active else 1])
    if before.mode.mode is not after.mode.mode:
        yield Event(EventKind.MODE_CHANGED, {"VALUE": after.mode.mode.value, "REASON": after.mode.reason})
    for asked in after.exit.asked:
        lockdown = after.mode.mode is Mode.LOCKDOWN
        yield Event(EventKind.EXIT_REQUESTED, {"REASON": f"{asked.value}{', in lockdown' if lockdown else ''}"})
    for remark in after.passage.remarks:
        yield _passage(remark)
    for cause in after.alarm.begun:
        yield Event(EventKind.SIREN_ON, {"REASON": cause.value})
    if after.alarm.ended:
        yield Event(EventKind.SIREN_OFF, {"REASON": after.alarm.ended})


def _passage(remark: Remark) -> Event:
    kind = _PASSAGES[remark.what]
    fields: dict[str, Value] = {"PERSON": remark.person or "?", "SECONDS": round(remark.seconds, 1)}
    return Event(kind, {name: value for name, value in fields.items() if name in kind.spec.required})


def of_camera(before: CameraWatch, after: CameraWatch, now: float) -> Iterator[Event]:
    """That the camera delivers again; that it fails is a fault."""
    if after.seeing and not before.seeing:
        seconds = round(now - before.lost_at, 1)
        yield Event(EventKind.CAMERA_RECOVERED, {"SECONDS": seconds, "COUNT": before.tries})
