"""Every request a local client may make, as a schema. What does not fit one is refused before anything is done.

| action          | fields                                          | answered by    |
|-----------------|-------------------------------------------------|----------------|
| status          | [lease]                                         | the daemon     |
| enroll          | name, [admin, add, replace: bool]               | the daemon     |
| abort           | [lease]                                         | the daemon     |
| lockout         | [clear: bool]                                   | the daemon     |
| list            |                                                 | people.execute |
| show            | name                                            | people.execute |
| rename          | name, new_name                                  | people.execute |
| remove          | name                                            | people.execute |
| admin           | name, admin: bool                               | people.execute |
| enroll_pictures | name, [admin, add, replace, force: bool], pictures: [{crop, yaw, pitch, roll}] | people.execute |
| export          | [names], [file]                                 | people.execute |
| import          | payload, [replace or rename: bool], [force, skip, keep_admins: bool], [file] | people.execute |

The reply to `enroll` holds a `lease`: the enrolment goes on while its client asks for the status with it, at least
every three seconds, and is aborted otherwise.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from facelatch.errors import InputError
from facelatch.gallery.export import MAX_REFERENCES, Angle
from facelatch.gallery.saving import Clash


def _decoded(text: object) -> bytes:
    if not isinstance(text, str):
        raise ValueError("must be text in base64")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"not base64: {error}") from error


Base64 = Annotated[bytes, BeforeValidator(_decoded)]
"""Bytes that travel as text."""


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Status(_Request):
    """What the door is doing."""

    action: Literal["status"]
    lease: str | None = None
    """Of the enrolment that shall go on."""


class _Enrolment(_Request):
    name: str
    admin: bool = False
    add: bool = False
    """The person is enrolled already and gets more pictures."""
    replace: bool = False
    """The person is enrolled already and gets other pictures in place of all."""

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if self.add and self.replace:
            raise ValueError("add and replace exclude each other")
        if self.admin and self.of_somebody:
            raise ValueError("admin is for somebody new")
        return self

    @property
    def of_somebody(self) -> bool:
        """Whether the pictures are of somebody who is enrolled already."""
        return self.add or self.replace


class Enroll(_Enrolment):
    """Enrol whoever steps before the camera next."""

    action: Literal["enroll"]


class Abort(_Request):
    """End the enrolment under way."""

    action: Literal["abort"]
    lease: str | None = None
    """Only if it is that one."""


class Lockout(_Request):
    """How the refusals stand; with `clear` they are forgotten and a lock-out ends."""

    action: Literal["lockout"]
    clear: bool = False


class List(_Request):
    """Everybody enrolled."""

    action: Literal["list"]


class Show(_Request):
    """One person and the poses of the references."""

    action: Literal["show"]
    name: str


class Rename(_Request):
    """Another name for a person."""

    action: Literal["rename"]
    name: str
    new_name: str


class Remove(_Request):
    """Forget a person."""

    action: Literal["remove"]
    name: str


class Admin(_Request):
    """Whether a person's face may authorise enrolments."""

    action: Literal["admin"]
    name: str
    admin: bool


class Picture(_Request):
    """An aligned crop of a new person."""

    crop: Base64
    """PNG, 112x112 RGB, in base64."""
    yaw: Angle
    pitch: Angle
    roll: Angle


class EnrollPictures(_Enrolment):
    """Enrol somebody from pictures that the client has found the face in."""

    action: Literal["enroll_pictures"]
    force: bool = False
    """Even if the face is enrolled already under another name."""
    pictures: Annotated[list[Picture], Field(min_length=1, max_length=MAX_REFERENCES)]


class Export(_Request):
    """The named people as one file."""

    action: Literal["export"]
    names: Annotated[list[str], Field(min_length=1)] | None = None
    """None: everybody."""
    file: str = ""
    """Where the client keeps it; for the audit only."""


class Import(_Request):
    """The people of an export file."""

    action: Literal["import"]
    payload: Base64
    """The export file in base64."""
    replace: bool = False
    """A person of the same name goes."""
    rename: bool = False
    """The newcomer gets a number behind the name."""
    force: bool = False
    """Faces that are enrolled already and names that look like one are taken, too."""
    skip: bool = False
    """Whoever cannot be admitted is left out, not all."""
    keep_admins: bool = False
    """Whoever might authorise enrolments on the other door may do so here."""
    file: str = ""
    """Where the client has it from; for the audit only."""

    @model_validator(mode="after")
    def _choose(self) -> Self:
        if self.replace and self.rename:
            raise ValueError("replace and rename exclude each other")
        return self

    @property
    def clash(self) -> Clash:
        """What happens to a name that is taken."""
        return Clash.REPLACE if self.replace else Clash.RENAME if self.rename else Clash.REFUSE


PeopleRequest = List | Show | Rename | Remove | Admin | EnrollPictures | Export | Import
AnyRequest = Status | Enroll | Abort | Lockout | PeopleRequest
_REQUESTS: TypeAdapter[AnyRequest] = TypeAdapter(Annotated[AnyRequest, Field(discriminator="action")])

ACTIONS = tuple(sorted(one.model_fields["action"].annotation.__args__[0] for one in AnyRequest.__args__))
"""The values of `action`."""


def people_request(message: Mapping[str, Any]) -> PeopleRequest:
    """A request that needs no running daemon. Raises InputError for all others."""
    request = parse(message)
    if isinstance(request, Status | Enroll | Abort | Lockout):
        raise InputError(
            f"{request.action}: only the running daemon can do that", hint="`systemctl start facelatch`"
        )
    return request


def parse(message: Mapping[str, Any]) -> AnyRequest:
    """The request in a decoded JSON object. Raises InputError that names every field at fault, and no value."""
    try:
        return _REQUESTS.validate_python(dict(message))
    except ValidationError as error:
        # Without the input: it may hold the pictures of an import.
        faults = [
            f"{'.'.join(str(part) for part in fault['loc'][1:])}: {fault['msg']}" for fault in error.errors()
        ]
        action = message.get("action")
        known = isinstance(action, str) and action in ACTIONS
        raise InputError(
            f"not a request: {'; '.join(fault.removeprefix(': ') for fault in faults)}"
            if known
            else f"{action!r:.50}: no such action",
            hint="daemon/docs/control-socket.md has every request"
            if known
            else f"one of {', '.join(ACTIONS)}",
        ) from error
