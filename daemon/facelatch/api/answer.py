"""What local clients may ask of the running daemon: its status, an enrolment, and everything about people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from facelatch.api import people
from facelatch.control.wire import failure
from facelatch.controller.situation import EnrolmentView
from facelatch.controller.state import Command
from facelatch.errors import FacelatchError, InputError
from facelatch.gallery.names import clean_name, name_key
from facelatch.gallery.store import GalleryStore
from facelatch.machines.enrolment_states import AbortEnrolment, StartEnrolment

ACTIONS = frozenset({"status", "enroll", "abort"}) | people.ACTIONS

_AT_REST = frozenset({"idle", "done", "failed"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request came to: what the client hears, and perhaps a command for the machines."""

    people: people.Answer
    command: Command | None = None


def answer(
    request: Mapping[str, Any], store: GalleryStore, enrolment: EnrolmentView, status: Mapping[str, Any]
) -> Answer:
    """Does what `request` asks; what cannot be done becomes an error reply. Never raises FacelatchError."""
    try:
        return _execute(request, store, enrolment, status)
    except FacelatchError as error:
        return Answer(people.Answer(failure(error)))


def _execute(
    request: Mapping[str, Any], store: GalleryStore, enrolment: EnrolmentView, status: Mapping[str, Any]
) -> Answer:
    action = request.get("action")
    if action == "status":
        return Answer(people.Answer({**status, "enrolment": asdict(enrolment)}))
    if action == "abort":
        return Answer(people.Answer({}), AbortEnrolment())
    if action == "enroll":
        return Answer(people.Answer({}), _start(request, store, enrolment))
    # First the type: a list has no hash to be looked up by.
    if not isinstance(action, str) or action not in people.ACTIONS:
        raise InputError(f"{action!r:.50}: no such action", hint=f"one of {', '.join(sorted(ACTIONS))}")
    return Answer(people.execute(store, dict(request)))


def _start(request: Mapping[str, Any], store: GalleryStore, enrolment: EnrolmentView) -> StartEnrolment:
    if enrolment.state not in _AT_REST:
        raise InputError(
            "an enrolment is under way", hint="wait for its end, or press the button to abort it"
        )
    name, admin = request.get("name"), request.get("admin", False)
    if not isinstance(name, str) or not isinstance(admin, bool):
        raise InputError("enroll needs name (text) and admin (true or false)")
    name = clean_name(name)
    if any(name_key(record.person.name) == name_key(name) for record in store.people()):
        raise InputError(f"{name}: already enrolled", hint="choose another name, or remove that person first")
    return StartEnrolment(name, admin)
