"""What the running daemon answers its local clients: its status, an enrolment, and everything about people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from facelatch.api import people, requests
from facelatch.api.answer import Answer
from facelatch.control.wire import failure
from facelatch.controller.situation import EnrolmentView
from facelatch.errors import FacelatchError, InputError
from facelatch.gallery.names import clean_name, name_key
from facelatch.gallery.store import GalleryStore
from facelatch.machines.enrolment_states import AbortEnrolment, StartEnrolment
from facelatch.machines.session_states import ForgetRefusals

_AT_REST = frozenset({"idle", "done", "failed"})


def answer(
    message: Mapping[str, Any], store: GalleryStore, enrolment: EnrolmentView, status: Mapping[str, Any]
) -> Answer:
    """Does what `message` asks; what cannot be done becomes an error reply. Never raises FacelatchError."""
    try:
        match requests.parse(message):
            case requests.Status():
                return Answer({**status, "enrolment": asdict(enrolment)})
            case requests.Abort():
                return Answer({}, command=AbortEnrolment())
            case requests.Lockout(clear=clear):
                return Answer(dict(status["lockout"]), command=ForgetRefusals() if clear else None)
            case requests.Enroll() as request:
                return Answer({}, command=_start(request, store, enrolment))
            case request:
                return people.execute(store, request)
    except FacelatchError as error:
        return Answer(failure(error))


def _start(request: requests.Enroll, store: GalleryStore, enrolment: EnrolmentView) -> StartEnrolment:
    if enrolment.state not in _AT_REST:
        raise InputError(
            "an enrolment is under way", hint="wait for its end, or press the button to abort it"
        )
    name = clean_name(request.name)
    if any(name_key(record.person.name) == name_key(name) for record in store.people()):
        raise InputError(f"{name}: already enrolled", hint="choose another name, or remove that person first")
    return StartEnrolment(name, request.admin)
