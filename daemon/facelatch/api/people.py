"""Requests about people, executed against a gallery: by the daemon for its socket, or by the command line."""

from __future__ import annotations

import base64
from typing import Any

from facelatch.api import requests
from facelatch.api.admission import Admission, Wanted, traces
from facelatch.api.answer import Answer
from facelatch.audit.events import Event, EventKind, Value
from facelatch.gallery.export import StoredReference, unpack
from facelatch.gallery.names import name_key
from facelatch.gallery.store import GalleryStore, PersonRecord
from facelatch.values.pictures import Pose
from facelatch.values.records import Person


def execute(admission: Admission, request: requests.PeopleRequest) -> Answer:
    """Does what `request` asks. Raises InputError and what the gallery raises; then nothing has changed.

    | request        | reply                                                                 |
    |----------------|-----------------------------------------------------------------------|
    | List           | people: [{id, name, admin, references, created}]                      |
    | Show           | person: as above, with poses: [{yaw, pitch, roll}]                    |
    | Rename         | name, old_name                                                        |
    | Remove         | name, wiped: whether its traces are gone already                      |
    | Admin          | name, admin                                                           |
    | EnrollPictures | name, references, left_out: [{picture, reason}], warnings             |
    | Export         | payload: base64, count                                                |
    | Import         | count, names, replaced: names, skipped: [{name, reason}],             |
    |                | admins: names of those who were, warnings, wiped                      |
    """
    store = admission.store
    match request:
        case requests.List():
            return Answer({"people": [_row(record) for record in store.people()]})
        case requests.Show(name=name):
            record, poses = store.show(name)
            angles = [{"yaw": p.yaw, "pitch": p.pitch, "roll": p.roll} for p in poses]
            return Answer({"person": {**_row(record), "poses": angles}})
        case requests.Rename(name=name, new_name=new_name):
            return _rename(store, name, new_name)
        case requests.Remove(name=name):
            gone = store.remove(name)
            reply = {"name": gone.name, "wiped": not store.traces}
            return Answer(reply, True, (_about(gone, EventKind.PERSON_REMOVED), traces(store)))
        case requests.Admin(name=name, admin=admin):
            person = store.set_admin(name, admin)
            event = _about(person, EventKind.ADMIN_CHANGED, REASON="granted" if admin else "taken away")
            return Answer({"name": person.name, "admin": admin}, True, (event,))
        case requests.EnrollPictures():
            return _enroll_pictures(admission, request)
        case requests.Export():
            return _export(store, request)
        case requests.Import():
            return _import(admission, request)


def _row(record: PersonRecord) -> dict[str, Any]:
    person = record.person
    return {
        "id": person.id,
        "name": person.name,
        "admin": person.admin,
        "references": record.references,
        "created": record.created,
    }


def _rename(store: GalleryStore, name: str, new_name: str) -> Answer:
    person = store.rename(name, new_name)
    reply = {"name": person.name, "old_name": name}
    return Answer(reply, True, (_about(person, EventKind.PERSON_RENAMED),))


def _enroll_pictures(admission: Admission, request: requests.EnrollPictures) -> Answer:
    store, person = admission.store, None
    if request.of_somebody:
        person = store.find(request.name)
    else:
        store.free_name(request.name, knowingly=request.force)  # before the pictures are looked at
    wanted = Wanted(
        name=request.name,
        admin=request.admin,
        person=person,
        replace=request.replace,
        knowingly=request.force,
    )
    stored = [
        StoredReference(one.crop, Pose(one.yaw, one.pitch, one.roll)) for one in request.pictures
    ]
    done = admission.enrol(wanted, admission.looked_at(stored))
    kind = EventKind.ENROLMENT_SAVED if person is None else EventKind.REFERENCES_CHANGED
    fields: dict[str, Value] = {"COUNT": done.references, "ORIGIN": "images"}
    if person is not None:
        fields["REASON"] = "replaced" if request.replace else "added"
    events = [_about(done.person, kind, **fields), *done.events]
    reply = {
        "name": done.person.name,
        "references": done.references,
        "left_out": [{"picture": one.number, "reason": one.reason.hint} for one in done.admitted.left_out],
        "warnings": list(done.warnings),
    }
    return Answer(reply, True, tuple(events))


def _export(store: GalleryStore, request: requests.Export) -> Answer:
    data = store.export(request.names)
    count = len({name_key(name.strip()) for name in request.names} if request.names else store.people())
    event = Event(EventKind.GALLERY_EXPORTED, {"COUNT": count, "FILE": _file_field(request.file)})
    return Answer({"payload": base64.b64encode(data).decode("ascii"), "count": count}, False, (event,))


def _import(admission: Admission, request: requests.Import) -> Answer:
    people, store = unpack(request.payload), admission.store
    done = admission.import_people(
        people,
        request.clash,
        knowingly=request.force,
        skip=request.skip,
        keep_admins=request.keep_admins,
    )
    added, replaced = done.imported.added, done.imported.replaced
    events = [Event(EventKind.GALLERY_IMPORTED, {"COUNT": len(added), "FILE": _file_field(request.file)})]
    events += [*done.events, *(_about(person, EventKind.PERSON_REMOVED) for person in replaced)]
    events += [traces(store)] if replaced else []
    reply = {
        "count": len(added),
        "names": [person.name for person in added],
        "replaced": [person.name for person in replaced],
        "skipped": [{"name": name, "reason": reason} for name, reason in done.refused],
        "admins": [] if request.keep_admins else [person.name for person in people if person.admin],
        "warnings": list(done.warnings),
        "wiped": not store.traces,
    }
    return Answer(reply, True, tuple(events))


def _file_field(file: str) -> str:
    """A client's path as it may stand in the audit: one line, not endless."""
    return "".join(letter if letter.isprintable() else "?" for letter in file[:200]) or "a client"


def _about(person: Person, kind: EventKind, **fields: Value) -> Event:
    return Event(kind, {"PERSON": person.name, "PERSON_ID": person.id, **fields})
