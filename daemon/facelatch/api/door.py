"""What the running daemon answers its local clients: its status, an enrolment, and everything about people."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from facelatch.api import people, requests
from facelatch.api.admission import Admission
from facelatch.api.answer import Answer
from facelatch.control.wire import failure
from facelatch.controller.situation import EnrolmentView
from facelatch.errors import FacelatchError, InputError
from facelatch.machines.enrolment_states import AbortEnrolment, RenewEnrolment, StartEnrolment
from facelatch.machines.session_states import ForgetRefusals

_AT_REST = frozenset({"idle", "done", "failed"})


def answer(
    message: Mapping[str, Any], admission: Admission, enrolment: EnrolmentView, status: Mapping[str, Any]
) -> Answer:
    """Does what `message` asks; what cannot be done becomes an error reply. Never raises FacelatchError."""
    try:
        match requests.parse(message):
            case requests.Status(lease=lease):
                renewal = RenewEnrolment(lease) if lease is not None else None
                return Answer({**status, "enrolment": asdict(enrolment)}, command=renewal)
            case requests.Abort(lease=lease):
                return Answer({}, command=AbortEnrolment(lease=lease))
            case requests.Lockout(clear=clear):
                return Answer(dict(status["lockout"]), command=ForgetRefusals() if clear else None)
            case requests.Enroll() as request:
                start = _start(request, admission, enrolment)
                return Answer({"lease": start.lease}, command=start)
            case request:
                return people.execute(admission, request)
    except FacelatchError as error:
        return Answer(failure(error))


def _start(request: requests.Enroll, admission: Admission, enrolment: EnrolmentView) -> StartEnrolment:
    if enrolment.state not in _AT_REST:
        raise InputError(
            "an enrolment is under way",
            hint="wait for its end; `facelatch enroll --abort` or a press of the button aborts it",
        )
    lease = secrets.token_hex(16)
    if request.of_somebody:
        person = admission.store.find(request.name)
        return StartEnrolment(name=person.name, person=person, replace=request.replace, lease=lease)
    return StartEnrolment(name=admission.store.free_name(request.name), admin=request.admin, lease=lease)
