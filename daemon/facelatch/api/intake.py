"""What a client has sent, made ready for the loop: rights asked, request parsed, what came along read and checked.

Runs on the client's own thread, so that the loop need not wait for any of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from facelatch.api import fleet_requests, hours_requests, parsing, requests
from facelatch.api.check_request import Check
from facelatch.api.checks import Checks, Findings
from facelatch.api.fleet_people import Arrived, arrived
from facelatch.api.hours import House
from facelatch.api.requests import AnyRequest
from facelatch.api.rights import Asker, policy
from facelatch.config.service import ControlConfig
from facelatch.control.peer import Peer
from facelatch.control.sealed import read_sealed
from facelatch.errors import InputError, NotAllowedError
from facelatch.gallery.credentials import Hashed
from facelatch.gallery.export import SMALL, StoredPerson, StoredReference, unpack
from facelatch.values.pictures import Image, Pose
from facelatch.vision.png import decode_png

Content = (
    tuple[StoredPerson, ...] | tuple[StoredReference, ...] | tuple[Arrived, ...] | Image | Hashed | Findings | None
)
"""What a request brings along: the people of an import, the references of an enrolment, the crop to judge, a PIN."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request whose sender may make it, with everything read that belongs to it."""

    by: Asker
    request: AnyRequest
    content: Content = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A request whose sender may not make it."""

    by: Asker
    action: str
    missing: str
    """The rights it would take, in words."""

    @property
    def error(self) -> NotAllowedError:
        """What the client is told."""
        return NotAllowedError(
            f"{self.action}: user {self.by.uid} has not the right {self.missing}",
            hint="ask as root (sudo), or add the right to [control] rights in facelatch.toml",
        )


def intake(
    config: ControlConfig, house: House | None = None, checks: Checks | None = None
) -> Callable[[Mapping[str, Any], Peer, int | None], Asked | Refused]:
    """What the control socket does with each message."""

    def take_in(message: Mapping[str, Any], peer: Peer, descriptor: int | None) -> Asked | Refused:
        asker = Asker(peer.uid, peer.pid, policy(config, os.geteuid()).rights_of(peer.uid, peer.groups))
        found = admitted(message, asker, descriptor, house)
        if isinstance(found, Asked) and isinstance(found.request, Check):
            return replace(found, content=checks.findings() if checks is not None else [])
        return found

    return take_in


def admitted(
    message: Mapping[str, Any], asker: Asker, descriptor: int | None = None, house: House | None = None
) -> Asked | Refused:
    """The request in `message`, or that `asker` may not make it: then nothing that came along is read.

    Raises InputError for what is no request, and for what came along and does not fit it.
    """
    request = parsing.parse(message)
    if missing := request.needs() - asker.rights:
        return Refused(asker, request.action, " ".join(sorted(missing)))
    if request.actor is not None:
        asker = Asker(asker.uid, asker.pid, asker.rights, request.actor)
    if descriptor is None:
        return Asked(asker, request, content(request, None, house))
    if not request.most_bulk:
        raise InputError(f"{request.action} takes no descriptor", hint="send the request alone")
    return Asked(asker, request, content(request, read_sealed(descriptor, request.most_bulk), house))


def content(request: AnyRequest, bulk: bytes | None, house: House | None = None) -> Content:
    """What came along with `request`, checked whole. Raises InputError, also when nothing came and something must."""
    match request:
        case requests.Import():
            data = bulk if bulk is not None else request.payload
            if data is None or (bulk is not None and request.payload is not None):
                raise InputError(
                    "import takes one export file", hint="by a descriptor, or as payload where it is small"
                )
            return unpack(data, SMALL)
        case requests.EnrollPictures():
            return _pictures(request, bulk)
        case fleet_requests.ApplyPeople():
            return arrived(house.member if house is not None else None, request, bulk)
        case requests.Judge():
            return None if bulk is None else decode_png(bulk)
        case hours_requests.Set() | hours_requests.Pin() | hours_requests.Card() if house is not None:
            return house.prepared(request)
        case _:
            return None


def newcomers(content: Content) -> tuple[StoredPerson, ...]:
    """The people an import brought along."""
    return tuple(one for one in content if isinstance(one, StoredPerson)) if isinstance(content, tuple) else ()


def envelopes(content: Content) -> tuple[Arrived, ...]:
    """What came from other doors."""
    return tuple(one for one in content if isinstance(one, Arrived)) if isinstance(content, tuple) else ()


def references(content: Content) -> tuple[StoredReference, ...]:
    """The references an enrolment brought along."""
    return tuple(one for one in content if isinstance(one, StoredReference)) if isinstance(content, tuple) else ()


def crop(content: Content) -> Image:
    """The crop (112, 112, 3) a judgement brought along. Raises InputError when it brought none."""
    if content is None or isinstance(content, tuple | list | Hashed):
        raise InputError("judge takes a picture", hint="by a descriptor")
    return content


def _pictures(request: requests.EnrollPictures, bulk: bytes | None) -> tuple[StoredReference, ...]:
    found, position, data = [], 0, bulk or b""
    for number, picture in enumerate(request.pictures, start=1):
        if (picture.size is None) == (picture.crop is None):
            raise InputError(f"picture {number}: has either size or crop", hint="size, and a descriptor")
        png = picture.crop or data[position : position + (picture.size or 0)]
        position += picture.size or 0
        try:
            decode_png(png)
        except InputError as error:
            raise InputError(f"picture {number}: {error}", hint=error.hint) from error
        found.append(StoredReference(png, Pose(picture.yaw, picture.pitch, picture.roll)))
    if position != len(data):
        raise InputError(
            f"the pictures have {position} bytes, {len(data)} came along", hint="count them again"
        )
    return tuple(found)
