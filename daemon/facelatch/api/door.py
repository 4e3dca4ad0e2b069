"""What the running daemon answers its local clients: its status, an enrolment, a judgement, and all about people."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from facelatch.api import (
    about_people,
    aim_requests,
    fleet_gate,
    fleet_requests,
    hours_requests,
    people,
    records,
    requests,
    site,
    site_requests,
)
from facelatch.api.admission import Admission, require_consent
from facelatch.api.aim import Preview
from facelatch.api.answer import Answer, Work, yes_or_no
from facelatch.api.check_request import Check
from facelatch.api.fleet_people import Fleet, no_fleet
from facelatch.api.importing import Importing
from facelatch.api.intake import Asked, Refused, crop, envelopes, newcomers, references
from facelatch.api.judge import judge
from facelatch.api.record_requests import Forget, History, LedgerRows, Report
from facelatch.api.rights import Asker
from facelatch.audit.events import Event, EventKind, Value
from facelatch.control.wire import failure
from facelatch.controller.situation import EnrolmentView
from facelatch.errors import FacelatchError, InputError
from facelatch.ledger.writer import Ledger
from facelatch.machines.enrolment_states import AbortEnrolment, RenewEnrolment, StartEnrolment
from facelatch.machines.session_states import ForgetRefusals
from facelatch.ports import ModeMemory

_AT_REST = frozenset({"idle", "done", "failed"})


@dataclass(frozen=True, slots=True, eq=False)
class Door:
    """What a request may look at or change."""

    admission: Admission
    importing: Importing
    enrolment: EnrolmentView
    status: Mapping[str, Any]
    settings: Mapping[str, Any]
    """The reply to `config`."""
    now: float
    """Monotonic seconds."""
    preview: Preview
    ledger: Ledger | None = None
    modes: ModeMemory | None = None
    """Where a lockdown is written down."""
    fleet: Fleet | None = None
    """None: this door is in none."""


def answer(asked: Asked | Refused, door: Door) -> Answer | Work:
    """Does what was asked, or returns the work it is; what cannot be done becomes an error reply.

    Neither raises FacelatchError.
    """
    try:
        if isinstance(asked, Asked):
            asked = _admins_left_alone(asked, door.admission)
        if isinstance(asked, Refused):
            refused = {**asked.by.fields(), "ACTION": asked.action, "RIGHT": asked.missing}
            return Answer(failure(asked.error), trace=Event(EventKind.CONTROL_REFUSED, refused))
        enrols = door.fleet is not None and door.fleet.enrols
        fleet_gate.refuse_foreign(door.admission.store, asked.request, enrols=enrols)
        match asked.request:
            case fleet_requests.ApplyPeople() | fleet_requests.FleetPeople():
                return _told(_of_the_fleet(asked, door), asked.by)
            case requests.EnrollPictures() as request:
                work = people.enroll_pictures(door.admission, request, references(asked.content))
                return _told(work, asked.by)
            case requests.Import() as request:
                arrived, uid = newcomers(asked.content), asked.by.uid
                work = door.importing.execute(door.admission, request, arrived, uid=uid, now=door.now)
                return _told(work, asked.by)
            case History() | LedgerRows() | Report() | Forget() as request:
                kept = records.Records(door.admission.store, door.ledger)
                trace = None if isinstance(request, Forget) else _request(asked)
                return _told(records.execute(kept, request, asked.by, trace), asked.by)
            case _:
                return signed(_at_once(asked, door), asked.by)
    except FacelatchError as error:
        return Answer(failure(error))


def _admins_left_alone(asked: Asked, admission: Admission) -> Asked | Refused:
    """Whose face authorises enrolments is for the right `admin` to say: also by giving an admin another face or PIN.

    Raises InputError, GalleryError.
    """
    request = asked.request
    match request:
        case requests.Enroll() | requests.EnrollPictures() if request.of_somebody:
            pass
        case hours_requests.Pin() | hours_requests.Card():
            pass
        case _:
            return asked
    if "admin" in asked.by.rights:
        return asked
    if not admission.store.find(request.name).admin:
        return asked
    return Refused(asked.by, request.action, "admin")


def _share(request: fleet_requests.Share | fleet_requests.Resolve, door: Door) -> Answer:
    if door.fleet is None:
        raise no_fleet()
    if isinstance(request, fleet_requests.Share):
        return door.fleet.share(door.admission.store, request)
    return door.fleet.resolve(door.admission.store, request)


def _of_the_fleet(asked: Asked, door: Door) -> Work:
    if door.fleet is None:
        raise no_fleet()
    if isinstance(asked.request, fleet_requests.FleetPeople):
        return (yield from door.fleet.people(door.admission, asked.request))
    return (yield from door.fleet.apply(door.admission, envelopes(asked.content)))


def _told(work: Work, asker: Asker) -> Work:
    try:
        return signed((yield from work), asker)
    except FacelatchError as error:
        return Answer(failure(error))


def _at_once(asked: Asked, door: Door) -> Answer:
    match asked.request:
        case requests.Status(lease=lease):
            renewal = RenewEnrolment(lease) if lease is not None else None
            return Answer({**door.status, "enrolment": asdict(door.enrolment)}, command=renewal)
        case requests.Abort(lease=lease):
            return Answer({}, events=(_request(asked),), command=AbortEnrolment(lease=lease))
        case requests.Settings():
            return Answer(dict(door.settings), trace=_request(asked))
        case Check():
            findings = asked.content if isinstance(asked.content, list) else []
            return Answer({"findings": findings}, trace=_request(asked))
        case requests.Lockout(clear=clear):
            events = (_request(asked),) if clear else ()
            return Answer(dict(door.status["lockout"]), events=events, command=ForgetRefusals() if clear else None)
        case site_requests.Mode(mode=mode) as request:
            told = (_request(asked, VALUE=mode),) if mode is not None else ()
            return site.change_mode(request, door.status["site"], told, door.modes)
        case site_requests.Alarm() as request:
            told = (_request(asked),) if request.acknowledge or request.prop else ()
            return site.alarm(request, door.status["site"], told)
        case aim_requests.Aim(on=on) as request:
            told = (_request(asked, VALUE=yes_or_no(on)),) if on is not None else ()
            return door.preview.aim(request, told, door.now)
        case aim_requests.Preview() as request:
            return door.preview.look(request, asked.by, door.now)
        case requests.Enroll() as request:
            start = _start(request, door)
            event = _request(asked, PERSON=start.name or "", ADMIN=yes_or_no(request.admin))
            return Answer({"lease": start.lease}, events=(event,), command=start)
        case requests.Judge(person=person):
            admission, alike = door.admission, "export" in asked.by.rights
            found = crop(asked.content)
            line, gallery = admission.judge().line, admission.gallery()
            reply = judge(line, gallery, found, person=person, similarities=alike)
            return Answer(reply, trace=_request(asked))
        case requests.List() | requests.Show() as request:
            return replace(_about(request, asked.by, door), trace=_request(asked))
        case fleet_requests.Share() | fleet_requests.Resolve() as request:
            return _share(request, door)
        case (fleet_requests.ApplyPeople() | fleet_requests.FleetPeople()
              | History() | LedgerRows() | Report() | Forget()):  # fmt: skip
            raise AssertionError("these take longer")
        case request:
            return people.execute(door.admission, request, asked.content)


def _about(request: requests.List | requests.Show, asker: Asker, door: Door) -> Answer:
    """Who is enrolled; when somebody came last is a matter of the right `history`."""
    answer = people.execute(door.admission, request)
    came = door.ledger.seen().came if door.ledger is not None and "history" in asker.rights else None
    more = about_people.with_more(answer.reply, door.admission.store, door.admission.gallery(), came)
    return replace(answer, reply=more)


def signed(answer: Answer, asker: Asker) -> Answer:
    """`answer` with events that say who asked, those that can."""
    who = asker.fields()

    def by(event: Event) -> Event:
        return replace(event, fields={**event.fields, **who}) if event.kind.spec.tells_the_asker else event

    given = by(answer.given) if answer.given is not None else None
    return replace(answer, events=tuple(map(by, answer.events)), given=given)


def _request(asked: Asked, **fields: Value) -> Event:
    return Event(EventKind.CONTROL_REQUEST, {**asked.by.fields(), "ACTION": asked.request.action, **fields})


def _start(request: requests.Enroll, door: Door) -> StartEnrolment:
    if door.enrolment.state not in _AT_REST:
        raise InputError(
            "an enrolment is under way",
            hint="wait for its end; `facelatch enroll --abort` or a press of the button aborts it",
        )
    store, lease = door.admission.store, secrets.token_hex(16)
    if request.of_somebody:
        person = store.find(request.name)
        return StartEnrolment(name=person.name, person=person, replace=request.replace, lease=lease)
    require_consent(door.admission, request.consent)
    name, consent = store.free_name(request.name), request.consent or ""
    return StartEnrolment(name=name, admin=request.admin, lease=lease, consent=consent)
