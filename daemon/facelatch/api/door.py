"""What the running daemon answers its local clients: its status, an enrolment, a judgement, and all about people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from facelatch.api import people, requests
from facelatch.api.answer import Answer
from facelatch.api.importing import Importing
from facelatch.api.intake import Asked, Refused, crop, newcomers
from facelatch.api.judge import judge
from facelatch.api.rights import Asker
from facelatch.audit.events import Event, EventKind, Value
from facelatch.control.wire import failure
from facelatch.controller.situation import EnrolmentView
from facelatch.errors import FacelatchError, InputError
from facelatch.gallery.names import clean_name, name_key
from facelatch.gallery.store import GalleryStore
from facelatch.line.pipeline import Line
from facelatch.machines.enrolment_states import AbortEnrolment, StartEnrolment
from facelatch.values.records import Gallery

_AT_REST = frozenset({"idle", "done", "failed"})


@dataclass(frozen=True, slots=True, eq=False)
class Door:
    """What a request may look at or change."""

    store: GalleryStore
    importing: Importing
    line: Line
    gallery: Gallery
    enrolment: EnrolmentView
    status: Mapping[str, Any]
    now: float
    """Monotonic seconds."""


def answer(asked: Asked | Refused, door: Door) -> Answer:
    """Does what was asked; what cannot be done becomes an error reply. Never raises FacelatchError."""
    if isinstance(asked, Refused):
        refused = {**asked.by.fields(), "ACTION": asked.action, "RIGHT": asked.missing}
        return Answer(failure(asked.error), trace=Event(EventKind.CONTROL_REFUSED, refused))
    try:
        return signed(_done(asked, door), asked.by)
    except FacelatchError as error:
        return Answer(failure(error))


def _done(asked: Asked, door: Door) -> Answer:
    match asked.request:
        case requests.Status():
            return Answer({**door.status, "enrolment": asdict(door.enrolment)})
        case requests.Abort():
            return Answer({}, events=(_request(asked),), command=AbortEnrolment())
        case requests.Enroll() as request:
            command = _start(request, door)
            event = _request(asked, PERSON=command.name or "", ADMIN=people.yes_or_no(request.admin))
            return Answer({}, events=(event,), command=command)
        case requests.Judge(person=person):
            alike = "export" in asked.by.rights
            reply = judge(door.line, door.gallery, crop(asked.content), person=person, similarities=alike)
            return Answer(reply, trace=_request(asked))
        case requests.Import() as request:
            arrived = newcomers(asked.content)
            return door.importing.execute(door.store, request, arrived, uid=asked.by.uid, now=door.now)
        case requests.List() | requests.Show() as request:
            return replace(people.execute(door.store, request), trace=_request(asked))
        case request:
            return people.execute(door.store, request, asked.content)


def signed(answer: Answer, asker: Asker) -> Answer:
    """`answer` with events that say who asked."""
    who = asker.fields()
    return replace(
        answer, events=tuple(replace(event, fields={**event.fields, **who}) for event in answer.events)
    )


def _request(asked: Asked, **fields: Value) -> Event:
    return Event(EventKind.CONTROL_REQUEST, {**asked.by.fields(), "ACTION": asked.request.action, **fields})


def _start(request: requests.Enroll, door: Door) -> StartEnrolment:
    if door.enrolment.state not in _AT_REST:
        raise InputError(
            "an enrolment is under way", hint="wait for its end, or press the button to abort it"
        )
    name = clean_name(request.name)
    if any(name_key(record.person.name) == name_key(name) for record in door.store.people()):
        raise InputError(f"{name}: already enrolled", hint="choose another name, or remove that person first")
    return StartEnrolment(name, request.admin)
