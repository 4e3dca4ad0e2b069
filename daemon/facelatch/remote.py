"""What local clients may ask of the running daemon: its status, an enrolment, and everything about people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from facelatch import enrolment as enrolling
from facelatch import people
from facelatch.enrolment import Abort, Start
from facelatch.errors import InputError
from facelatch.gallery import GalleryStore
from facelatch.person_name import clean_name, name_key

ACTIONS = frozenset({"status", "enroll", "abort"}) | people.ACTIONS


@dataclass(frozen=True, slots=True)
class Remote:
    """What a request came to: an answer, and perhaps a command for the machines."""

    answer: people.Answer
    command: Start | Abort | None = None


def execute(
    request: Mapping[str, Any], store: GalleryStore, enrolment: enrolling.Enrolment, status: Mapping[str, Any]
) -> Remote:
    """Does what `request` asks. Raises InputError for what is no request, and what the gallery raises."""
    action = request.get("action")
    if action == "status":
        return Remote(people.Answer({**status, "enrolment": describe(enrolment)}))
    if action == "abort":
        return Remote(people.Answer({}), Abort())
    if action == "enroll":
        return Remote(people.Answer({}), _start(request, store, enrolment))
    if action not in people.ACTIONS:
        raise InputError(f"{action!r}: no such action", hint=f"one of {', '.join(sorted(ACTIONS))}")
    return Remote(people.execute(store, dict(request)))


def _start(request: Mapping[str, Any], store: GalleryStore, enrolment: enrolling.Enrolment) -> Start:
    if not isinstance(enrolment, enrolling.Idle | enrolling.Done | enrolling.Failed):
        raise InputError("an enrolment is under way", hint="wait for its end, or press the button to abort it")
    name = request.get("name")
    if name is not None:
        name = clean_name(str(name))
        if any(name_key(record.person.name) == name_key(name) for record in store.people()):
            raise InputError(f"{name}: already enrolled", hint="choose another name, or remove that person first")
    return Start(name, bool(request.get("admin", False)))


def describe(enrolment: enrolling.Enrolment) -> dict[str, Any]:
    """An enrolment for a client that watches it."""
    told: dict[str, Any] = {"state": type(enrolment).__name__.lower(), "kept": 0, "person": None, "reason": "", "hint": ""}
    match enrolment:
        case enrolling.Capturing(kept=kept):
            told["kept"] = len(kept)
        case enrolling.Done(person=person, references=references):
            told.update(person=person.name, kept=references)
        case enrolling.Failed(failure=failure, detail=detail):
            told.update(reason=f"{failure} {detail}".strip(), hint=failure.hint)
        case _:
            pass
    return told
