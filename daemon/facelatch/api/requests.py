"""Every request a local client may make, as a schema. What does not fit one is refused before anything is done.

daemon/docs/control-socket.md tells each with its reply, errors, right and an example.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from facelatch.api.aim_requests import Aim, Preview
from facelatch.api.check_request import Check
from facelatch.api.fleet_requests import ApplyPeople, FleetPeople, Resolve, Share
from facelatch.api.hours_requests import Card, Pin, Set
from facelatch.api.record_requests import Forget, History, LedgerRows, Report
from facelatch.api.request import AnyRight, Name, Request
from facelatch.api.site_requests import Alarm, Mode
from facelatch.control.sealed import MAX_BYTES as MAX_BULK_BYTES
from facelatch.gallery.export import MAX_REFERENCES, Angle
from facelatch.gallery.saving import Clash
from facelatch.gallery.staging import TOKEN_DIGITS
from facelatch.vision.png import MAX_BYTES as MAX_CROP_BYTES


def _decoded(text: object) -> bytes:
    if not isinstance(text, str):
        raise ValueError("must be text in base64")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"not base64: {error}") from error


Base64 = Annotated[bytes, BeforeValidator(_decoded)]
"""Bytes that travel as text."""

Token = Annotated[str, Field(pattern=rf"^[0-9a-f]{{{TOKEN_DIGITS}}}$")]
"""Joins the requests of one import; random, chosen by the client."""

Lease = Annotated[str, Field(max_length=64)]
"""What the reply to `enroll` holds: the enrolment goes on while its client asks for the status with it."""


class Status(Request):
    """What the door is doing."""

    right = "status"
    action: Literal["status"]
    lease: Lease | None = None
    """Of the enrolment that shall go on."""


Consent = Literal["paper", "spoken", "screen"]
"""How somebody agreed to be enrolled."""


class _Enrolment(Request):
    right = "enrol"
    name: Name
    consent: Consent | None = None
    """Needed for somebody new where `enrolment.consent` is recorded."""
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

    def needs(self) -> set[AnyRight]:
        """To make an admin, or to change whom the door takes for somebody, is more than to enrol."""
        more: set[AnyRight] = {"admin"} if self.admin else set()
        return super().needs() | more | ({"people.write"} if self.of_somebody else set())


class Enroll(_Enrolment):
    """Enrol whoever steps before the camera next."""

    action: Literal["enroll"]


class Abort(Request):
    """End the enrolment under way."""

    right = "enrol"
    action: Literal["abort"]
    lease: Lease | None = None
    """Only if it is that one."""


class Settings(Request):
    """The configuration in force."""

    right = "config"
    action: Literal["config"]


class Lockout(Request):
    """How the refusals stand; with `clear` they are forgotten and a lock-out ends."""

    right = "status"
    action: Literal["lockout"]
    clear: bool = False

    def needs(self) -> set[AnyRight]:
        """To look is a matter of status, to forget is more."""
        more: set[AnyRight] = {"lockout"} if self.clear else set()
        return super().needs() | more


class List(Request):
    """Everybody enrolled, a page at a time."""

    right = "people.read"
    action: Literal["list"]
    after: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """`next` of the page before; 0: the first page."""


class Show(Request):
    """One person and the poses of the references."""

    right = "people.read"
    action: Literal["show"]
    name: Name


class Judge(Request):
    """What the door would say to a face."""

    right = "people.read"
    most_bulk = MAX_CROP_BYTES
    action: Literal["judge"]
    person: Name | None = None
    """Compare with this person only."""


class Rename(Request):
    """Another name for a person."""

    right = "people.write"
    action: Literal["rename"]
    name: Name
    new_name: Name


class Remove(Request):
    """Forget a person."""

    right = "people.write"
    action: Literal["remove"]
    name: Name


class Admin(Request):
    """Whether a person's face may authorise enrolments."""

    right = "admin"
    action: Literal["admin"]
    name: Name
    admin: bool


class Picture(BaseModel):
    """An aligned crop of a new person."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    size: Annotated[int, Field(ge=1, le=MAX_CROP_BYTES)] | None = None
    """How many bytes of what came along are this picture, a PNG of 112x112 RGB; they lie one behind the other."""
    crop: Base64 | None = None
    """Instead of `size`: the PNG itself, in base64. One or two fit into a request."""
    yaw: Angle
    pitch: Angle
    roll: Angle


class EnrollPictures(_Enrolment):
    """Enrol somebody from pictures that the client has found the face in."""

    most_bulk = MAX_REFERENCES * MAX_CROP_BYTES
    action: Literal["enroll_pictures"]
    force: bool = False
    """Even if the face is enrolled already under another name, or is not the one that it replaces."""
    pictures: Annotated[list[Picture], Field(min_length=1, max_length=MAX_REFERENCES)]

    def needs(self) -> set[AnyRight]:
        """A face that is enrolled twice opens for neither: that shuts somebody out."""
        return super().needs() | ({"people.write"} if self.force else set())


class Export(Request):
    """The named people as an export file, some at a time."""

    right = "export"
    action: Literal["export"]
    names: Annotated[list[Name], Field(min_length=1, max_length=500)] | None = None
    """None: everybody."""
    by: Literal["payload", "descriptor"] = "payload"
    """How the file comes: in the reply as base64, which takes a few people at most, or in a memory file beside it."""
    after: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """`next` of the file before; 0: the first."""
    file: str = ""
    """Of clients of version 0.1; without a meaning."""


class Import(Request):
    """The people of an export file; all of them or none."""

    right = "import"
    most_bulk = MAX_BULK_BYTES
    action: Literal["import"]
    payload: Base64 | None = None
    """The export file in base64, where it is small enough and none comes along."""
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
    batch: Token | None = None
    """The same in all requests of an import that takes several."""
    part: Annotated[int, Field(ge=0, le=100_000)] = 0
    """Which request of the batch this is; 0 begins it, and none may be left out."""
    more: bool = False
    """Whether another request of this batch follows; nobody is let in before the last."""
    file: str = ""
    """Of clients of version 0.1; without a meaning."""

    @model_validator(mode="after")
    def _choose(self) -> Self:
        if self.replace and self.rename:
            raise ValueError("replace and rename exclude each other")
        if self.batch is None and (self.more or self.part):
            raise ValueError("part and more go with a batch only")
        return self

    def needs(self) -> set[AnyRight]:
        """To replace somebody is to remove somebody."""
        more: set[AnyRight] = {"people.write"} if self.replace else set()
        return super().needs() | more | ({"admin"} if self.keep_admins else set())

    @property
    def clash(self) -> Clash:
        """What happens to a name that is taken."""
        return Clash.REPLACE if self.replace else Clash.RENAME if self.rename else Clash.REFUSE


QuickRequest = List | Show | Rename | Remove | Admin | Export
"""What the gallery answers at once."""

PeopleRequest = QuickRequest | Set | Pin | Card | EnrollPictures | Import
"""What needs the gallery only."""

RecordRequest = History | LedgerRows | Report | Forget
"""What needs the gallery and the ledger."""

FleetRequest = ApplyPeople | FleetPeople | Share | Resolve
"""What needs the fleet's keys."""

DoorRequest = (
    Status | Enroll | Abort | Settings | Check | Lockout | Judge | Mode | Alarm | Aim | Preview | FleetRequest
)
"""What needs the running daemon."""

AnyRequest = DoorRequest | PeopleRequest | RecordRequest

CLASSES: Mapping[str, type[Request]] = {
    one.model_fields["action"].annotation.__args__[0]: one for one in AnyRequest.__args__
}
"""The schema of each value of `action`."""

ACTIONS = tuple(sorted(CLASSES))
"""The values of `action`."""
