"""Requests about people, executed against a gallery: by the daemon for its socket, or by the command line."""

from __future__ import annotations

import base64
from typing import Any

from facelatch.api import requests
from facelatch.api.answer import Answer
from facelatch.audit.events import Event, EventKind, Value
from facelatch.errors import InputError
from facelatch.gallery.export import StoredPerson, StoredReference
from facelatch.gallery.names import name_key
from facelatch.gallery.store import GalleryStore, PersonRecord
from facelatch.values.pictures import Pose
from facelatch.values.records import Person
from facelatch.vision.png import decode_png


def execute(store: GalleryStore, request: requests.PeopleRequest) -> Answer:
    """Does what `request` asks. Raises InputError and what the gallery raises; then nothing has changed.

    | request        | reply                                                                 |
    |----------------|-----------------------------------------------------------------------|
    | List           | people: [{id, name, admin, references, created}]                      |
    | Show           | person: as above, with poses: [{yaw, pitch, roll}]                    |
    | Rename         | name, old_name                                                        |
    | Remove         | name, wiped: whether its traces are gone already                      |
    | Admin          | name, admin                                                           |
    | EnrollPictures | name, references                                                      |
    | Export         | payload: base64, count                                                |
    | Import         | count, names, replaced: names, wiped                                  |
    """
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
            reply = {"name": gone.name, "wiped": not store.wipe_due}
            return Answer(reply, True, (_about(gone, EventKind.PERSON_REMOVED),))
        case requests.Admin(name=name, admin=admin):
            person = store.set_admin(name, admin)
            event = _about(person, EventKind.ADMIN_CHANGED, REASON="granted" if admin else "taken away")
            return Answer({"name": person.name, "admin": admin}, True, (event,))
        case requests.EnrollPictures():
            return _enroll_pictures(store, request)
        case requests.Export():
            return _export(store, request)
        case requests.Import():
            return _import(store, request)


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


def _enroll_pictures(store: GalleryStore, request: requests.EnrollPictures) -> Answer:
    references = []
    for number, picture in enumerate(request.pictures, start=1):
        try:
            decode_png(picture.crop)
        except InputError as error:
            raise InputError(f"picture {number}: {error}", hint=error.hint) from error
        references.append(StoredReference(picture.crop, Pose(picture.yaw, picture.pitch, picture.roll)))
    person = store.add_stored(StoredPerson(request.name, request.admin, tuple(references)))
    event = _about(person, EventKind.ENROLMENT_SAVED, COUNT=len(references), ORIGIN="images")
    return Answer({"name": person.name, "references": len(references)}, True, (event,))


def _export(store: GalleryStore, request: requests.Export) -> Answer:
    data = store.export(request.names)
    count = len({name_key(name.strip()) for name in request.names} if request.names else store.people())
    event = Event(EventKind.GALLERY_EXPORTED, {"COUNT": count, "FILE": _file_field(request.file)})
    return Answer({"payload": base64.b64encode(data).decode("ascii"), "count": count}, False, (event,))


def _import(store: GalleryStore, request: requests.Import) -> Answer:
    done = store.import_from(request.payload, request.clash)
    events = [
        Event(EventKind.GALLERY_IMPORTED, {"COUNT": len(done.added), "FILE": _file_field(request.file)})
    ]
    events += [_about(person, EventKind.PERSON_REMOVED) for person in done.replaced]
    reply = {
        "count": len(done.added),
        "names": [person.name for person in done.added],
        "replaced": [person.name for person in done.replaced],
        "wiped": not store.wipe_due,
    }
    return Answer(reply, True, tuple(events))


def _file_field(file: str) -> str:
    """A client's path as it may stand in the audit: one line, not endless."""
    return "".join(letter if letter.isprintable() else "?" for letter in file[:200]) or "a client"


def _about(person: Person, kind: EventKind, **fields: Value) -> Event:
    return Event(kind, {"PERSON": person.name, "PERSON_ID": person.id, **fields})
