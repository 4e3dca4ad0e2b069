"""How the inputs of a turn reach the enrolment, one after the other, and when it ends a visit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from facelatch.audit.events import Event
from facelatch.config.file import Config
from facelatch.controller import changes
from facelatch.controller.state import Inputs, State
from facelatch.machines import button, enrolment
from facelatch.machines.button import Gesture
from facelatch.machines.enrolment_states import (
    AbortEnrolment,
    Authorising,
    Enrolment,
    Failure,
    Granted,
    Idle,
    Input,
    Origin,
    Pressed,
    RenewEnrolment,
    StartEnrolment,
)
from facelatch.values.observations import Observation
from facelatch.values.records import Person


def requests(inputs: Inputs, pressed: button.Button, halt: Failure | None) -> Iterator[Input | None]:
    """What the gallery, the button and the command line want of the enrolment on this turn.

    That its client is there comes first: on a turn that took long the time to renew is over as well.
    """
    ours = StartEnrolment | AbortEnrolment | RenewEnrolment
    commands = [command for command in inputs.commands if isinstance(command, ours)]
    yield from (command for command in commands if isinstance(command, RenewEnrolment))
    yield inputs.saved
    if halt is not None:
        yield AbortEnrolment(halt)
        return
    for gesture in pressed.gestures:
        match gesture:
            case Gesture.HOLD:
                yield StartEnrolment(origin=Origin.BUTTON)
            case Gesture.PRESS:
                yield Pressed()
            case Gesture.STUCK:
                yield AbortEnrolment(Failure.BUTTON_STUCK)
    yield from (command for command in commands if not isinstance(command, RenewEnrolment))


def sights(
    pressed: button.Button, person: Person | None, observation: Observation | None
) -> Iterator[Input | None]:
    """What was seen on this turn that concerns the enrolment: `person` was let in by the face.

    Nothing is looked at while the button is down.
    """
    if person is not None:
        yield Granted(person)
    yield None if pressed.is_down else observation


def advance_enrolment(
    state: State, inputs: Inputs, settings: Config, asked: Iterable[Input | None]
) -> tuple[Enrolment, list[Event]]:
    """The enrolment after everything in `asked`, and an event for each step it took."""
    setting = enrolment.Setting(settings.enrolment, inputs.people_enrolled, inputs.admins)
    before = state.enrolment
    events: list[Event] = []
    for one in asked:
        after = enrolment.advance(before, one, inputs.now, setting)
        wanted = changes.Wanted(settings.enrolment.references, proven=settings.liveness.level != "off")
        events += changes.of_enrolment(before, after, wanted, inputs.now)
        before = after
    return before, events


def takes_over(before: Enrolment, after: Enrolment) -> bool:
    """Whether the enrolment ends a visit: visits go on only while idle, or while an admin is awaited."""
    return type(before) is not type(after) or not isinstance(after, Idle | Authorising)
