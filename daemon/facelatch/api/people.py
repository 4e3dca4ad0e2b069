"""Requests about people, executed against a gallery: by the daemon for its socket, or by the command line."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from facelatch.audit.events import Event, EventKind, Value
from facelatch.errors import InputError
from facelatch.gallery.names import name_key
from facelatch.gallery.store import Clash, GalleryStore, PersonRecord
from facelatch.values.records import Person


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request came to."""

    reply: dict[str, Any]
    """For the client; JSON."""
    gallery_changed: bool = False
    """Whether the gallery has to be loaded again."""
    events: Sequence[Event] = field(default=())
    """For the audit."""


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _List(_Request):
    action: Literal["list"]


class _Show(_Request):
    action: Literal["show"]
    name: str


class _Rename(_Request):
    action: Literal["rename"]
    name: str
    new_name: str


class _Remove(_Request):
    action: Literal["remove"]
    name: str


class _Admin(_Request):
    action: Literal["admin"]
    name: str
    admin: bool


class _Export(_Request):
    action: Literal["export"]
    names: Annotated[list[str], Field(min_length=1)] | None = None
    """None: everybody."""
    file: str = ""
    """Where the client keeps it; for the audit only."""


class _Import(_Request):
    action: Literal["import"]
    payload: str
    """An export file in base64."""
    replace: bool = False
    """A person of the same name goes."""
    rename: bool = False
    """The newcomer gets a number behind the name."""
    file: str = ""
    """Where the client has it from; for the audit only."""

    @model_validator(mode="after")
    def _choose(self) -> Self:
        if self.replace and self.rename:
            raise ValueError("replace and rename exclude each other")
        return self

    @property
    def clash(self) -> Clash:
        return Clash.REPLACE if self.replace else Clash.RENAME if self.rename else Clash.REFUSE


_AnyRequest = _List | _Show | _Rename | _Remove | _Admin | _Export | _Import
_REQUESTS: TypeAdapter[_AnyRequest] = TypeAdapter(Annotated[_AnyRequest, Field(discriminator="action")])

ACTIONS = frozenset({"list", "show", "rename", "remove", "admin", "export", "import"})
"""The values of `action` that `execute` knows."""


def execute(store: GalleryStore, request: dict[str, Any]) -> Answer:
    """Does what `request` asks. Raises InputError for a request that is none, and what the gallery raises.

    When it raises, nothing has changed.

    | action | fields                                   | reply                                              |
    |--------|------------------------------------------|----------------------------------------------------|
    | list   |                                          | people: [{id, name, admin, references, created}]   |
    | show   | name                                     | person: as above, with poses: [{yaw, pitch, roll}] |
    | rename | name, new_name                           | name, old_name                                     |
    | remove | name                                     | name, wiped: whether its traces are gone already   |
    | admin  | name, admin: bool                        | name, admin                                        |
    | export | [names], [file]                          | payload: base64, count                             |
    | import | payload, [replace or rename: bool], [file] | count, names, replaced: names, wiped             |
    """
    match _parse(request):
        case _List():
            return Answer({"people": [_row(record) for record in store.people()]})
        case _Show(name=name):
            record, poses = store.show(name)
            angles = [{"yaw": p.yaw, "pitch": p.pitch, "roll": p.roll} for p in poses]
            return Answer({"person": {**_row(record), "poses": angles}})
        case _Rename(name=name, new_name=new_name):
            return _rename(store, name, new_name)
        case _Remove(name=name):
            gone = store.remove(name)
            reply = {"name": gone.name, "wiped": not store.wipe_due}
            return Answer(reply, True, (_about(gone, EventKind.PERSON_REMOVED),))
        case _Admin(name=name, admin=admin):
            person = store.set_admin(name, admin)
            event = _about(person, EventKind.ADMIN_CHANGED, REASON="granted" if admin else "taken away")
            return Answer({"name": person.name, "admin": admin}, True, (event,))
        case _Export() as wanted:
            return _export(store, wanted)
        case _Import() as offered:
            return _import(store, offered)


def _parse(request: dict[str, Any]) -> _AnyRequest:
    try:
        return _REQUESTS.validate_python(request)
    except ValidationError as error:
        # Without the input: it may hold the pictures of an import.
        faults = [
            f"{'.'.join(str(part) for part in fault['loc'][1:])}: {fault['msg']}" for fault in error.errors()
        ]
        raise InputError(
            f"not a request about people: {'; '.join(fault.removeprefix(': ') for fault in faults)}",
            hint=f"action is one of {', '.join(sorted(ACTIONS))}",
        ) from error


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


def _export(store: GalleryStore, request: _Export) -> Answer:
    data = store.export(request.names)
    count = len({name_key(name.strip()) for name in request.names} if request.names else store.people())
    event = Event(EventKind.GALLERY_EXPORTED, {"COUNT": count, "FILE": _file_field(request.file)})
    return Answer({"payload": base64.b64encode(data).decode("ascii"), "count": count}, False, (event,))


def _import(store: GalleryStore, request: _Import) -> Answer:
    try:
        data = base64.b64decode(request.payload, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"payload: not base64: {error}", hint="send the export file in base64") from error
    done = store.import_from(data, request.clash)
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
