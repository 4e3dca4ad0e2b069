"""Requests about people, executed against a gallery: by the daemon for its socket, or by the command line."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from facelatch.api import hours, hours_requests, requests
from facelatch.api.admission import Admission, Wanted, consent_events, require_consent, traces, wiped
from facelatch.api.answer import Answer, Work, about, done, yes_or_no
from facelatch.api.importing import Importing
from facelatch.api.intake import Content, newcomers, references
from facelatch.api.rights import Asker
from facelatch.audit.events import Event, EventKind, Value
from facelatch.control.wire import MAX_REPLY_BYTES
from facelatch.errors import InputError
from facelatch.gallery.credentials import Hashed
from facelatch.gallery.export import StoredPerson, StoredReference, pack
from facelatch.gallery.store import GalleryStore
from facelatch.values.records import PersonRecord

PAGE_PEOPLE = 250
"""In one reply: with the longest names it stays under its limit."""

PAGE_BYTES = 2 * 1024 * 1024
"""Of the pictures in one export file that the daemon makes; at least one person is in it."""

MAX_PAYLOAD_BYTES = MAX_REPLY_BYTES // 2
"""Of an export file that still fits into a reply."""


def execute(admission: Admission, request: requests.PeopleRequest, content: Content = None) -> Answer:
    """Does what `request` asks, with what it brought along. daemon/docs/control-socket.md has the replies.

    Raises InputError and what the gallery raises; then nothing has changed.
    """
    match request:
        case requests.EnrollPictures():
            return done(enroll_pictures(admission, request, references(content)))
        case requests.Import():
            return Importing().at_once(admission, request, newcomers(content))
        case hours_requests.Set() | hours_requests.Pin() | hours_requests.Card():
            return hours.execute(admission.store, request, content if isinstance(content, Hashed) else None)
        case request:
            return _at_once(admission.store, request)


def _at_once(store: GalleryStore, request: requests.QuickRequest) -> Answer:
    match request:
        case requests.List(after=after):
            return Answer(_page(store, after))
        case requests.Show(name=name):
            record, poses = store.show(name)
            angles = [{"yaw": p.yaw, "pitch": p.pitch, "roll": p.roll} for p in poses]
            return Answer({"person": {**_row(record), "poses": angles}})
        case requests.Rename(name=name, new_name=new_name):
            return _rename(store, name, new_name)
        case requests.Remove(name=name):
            gone = store.remove(name)
            reply = {"name": gone.name, "wiped": wiped(store)}
            return Answer(reply, True, (about(gone, EventKind.PERSON_REMOVED), *traces(store)))
        case requests.Admin(name=name, admin=admin):
            person = store.set_admin(name, admin)
            reason = "granted" if admin else "taken away"
            event = about(person, EventKind.ADMIN_CHANGED, REASON=reason, ADMIN=yes_or_no(admin))
            return Answer({"name": person.name, "admin": admin}, True, (event,))
        case requests.Export():
            return _export(store, request)


def _page(store: GalleryStore, after: int) -> dict[str, Any]:
    found = store.people(after=after, most=PAGE_PEOPLE + 1)
    page, more = found[:PAGE_PEOPLE], len(found) > PAGE_PEOPLE
    return {"people": [_row(record) for record in page], "next": page[-1].person.id if more else None}


def _row(record: PersonRecord) -> dict[str, Any]:
    person = record.person
    return {
        "id": person.id,
        "name": person.name,
        "admin": person.admin,
        "references": record.references,
        "created": record.created,
        "access": hours.shown(record.access),
        **({"fleet": record.fleet} if record.fleet else {}),
        **({"held": record.held} if record.held else {}),
    }


def _rename(store: GalleryStore, name: str, new_name: str) -> Answer:
    person = store.rename(name, new_name)
    reply = {"name": person.name, "old_name": name}
    return Answer(reply, True, (about(person, EventKind.PERSON_RENAMED),))


def enroll_pictures(
    admission: Admission, request: requests.EnrollPictures, pictures: tuple[StoredReference, ...]
) -> Work:
    """Admits pictures as references, of somebody new or enrolled; yields after each that was looked at.

    Raises AdmissionError, InputError, GalleryError; then nothing has changed.
    """
    admission.refuse_pictures()
    store, person = admission.store, None
    if request.of_somebody:
        person = store.find(request.name)
    else:
        require_consent(admission, request.consent)
        store.free_name(request.name, knowingly=request.force)  # before the pictures are looked at
    wanted = Wanted(
        name=request.name,
        admin=request.admin,
        person=person,
        replace=request.replace,
        knowingly=request.force,
    )
    looked_at = yield from admission.looking(pictures)
    enrolled = admission.enrol(wanted, looked_at)
    kind = EventKind.ENROLMENT_SAVED if person is None else EventKind.REFERENCES_CHANGED
    fields: dict[str, Value] = {"COUNT": enrolled.references, "ORIGIN": "images", "LIVENESS": "unproven"}
    fields["ADMIN"] = yes_or_no(enrolled.person.admin)
    if person is not None:
        fields["REASON"] = "replaced" if request.replace else "added"
    events = [about(enrolled.person, kind, **fields), *enrolled.events]
    if person is None:
        events += consent_events(admission, enrolled.person, request.consent or "")
    reply = {
        "name": enrolled.person.name,
        "references": enrolled.references,
        "left_out": [{"picture": one.number, "reason": one.reason.hint} for one in enrolled.admitted.left_out],
        "warnings": list(enrolled.warnings),
    }
    return Answer(reply, True, tuple(events))


def _export(store: GalleryStore, request: requests.Export) -> Answer:
    small = request.by == "payload"
    limit = MAX_PAYLOAD_BYTES if small else PAGE_BYTES
    page, next_ = _some(store.stored(request.names, after=request.after), limit)
    file = pack(page)
    if small and (next_ is not None or len(file) > MAX_PAYLOAD_BYTES):
        raise InputError(
            "the export does not fit into a reply",
            hint='this client is older than the daemon: update it; or ask by = "descriptor"',
        )
    reply: dict[str, Any] = {"count": len(page), "next": next_}
    event = export_event(len(page))
    if small:
        return Answer({**reply, "payload": base64.b64encode(file).decode("ascii")}, given=event)
    return Answer(reply, given=event, last=next_ is None, bulk=file)


def export_event(count: int, by: Asker | None = None) -> Event:
    """What the audit says of an export."""
    return Event(EventKind.GALLERY_EXPORTED, {"COUNT": count, **(by.fields() if by is not None else {})})


def _some(people: Iterator[tuple[int, StoredPerson]], limit: int) -> tuple[list[StoredPerson], int | None]:
    """The first of `people`, up to `limit` bytes of pictures, and the last one's id where more are left."""
    page: list[StoredPerson] = []
    size, last = 0, 0
    for id_, person in people:
        size += sum(len(reference.crop_png) for reference in person.references)
        if page and size > limit:
            return page, last
        page.append(person)
        last = id_
    return page, None
