"""How the inputs of a turn reach the machine that lets people see the camera's picture, and what is written of it."""

from __future__ import annotations

from collections.abc import Iterator

from facelatch.audit.events import Event, EventKind
from facelatch.controller.state import Inputs, State
from facelatch.machines import aiming
from facelatch.machines.aiming import Aim, Aiming
from facelatch.machines.button import Gesture
from facelatch.machines.enrolment_states import Done, Failed, Idle
from facelatch.site.mode import Mode


def advance(before: State, after: State, inputs: Inputs) -> Aiming:
    """The machine after this turn, on which the others have come to `after`."""
    wishes = [command for command in inputs.commands if isinstance(command, Aim)]
    taps = after.button.gestures.count(Gesture.TWICE)
    return aiming.advance(before.aiming, wishes, taps, inputs.now, barred(after))


def barred(state: State) -> str:
    """What forbids that the picture is shown, as a stable code; empty: nothing does."""
    if state.stopping or state.fault is not None:
        return "stopping" if state.stopping else "fault"
    if not isinstance(state.enrolment, Idle | Done | Failed):
        return "enrolment"
    if state.site.mode.mode is Mode.LOCKDOWN:
        return "lockdown"
    return "alarm" if state.site.alarm.sounding else ""


def events(before: Aiming, after: Aiming, now: float) -> Iterator[Event]:
    """That it began, began anew, or ended."""
    if before.until is not None and after.until is None:
        seconds = round(now - before.since, 1)
        yield Event(EventKind.PREVIEW_ENDED, {"REASON": after.ended, "SECONDS": seconds})
    elif after.until is not None and after.until != before.until:
        seconds = round(after.until - now, 1)
        yield Event(EventKind.PREVIEW_STARTED, {"REASON": after.origin, "SECONDS": seconds})
