"""The authority of a fleet: which doors there are, who of them may enrol, and all keys. Kept away from every door."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from facelatch.errors import InputError
from facelatch.sharing.membership import DOOR, FLEET, KEY_BYTES, Membership

KEPT_KEYS = 4
"""Older keys open nothing that a door does not have already."""

RESERVED = "fleet"
"""What no door may be called: it is part of the topics that all read."""

Part = Literal["follow", "enroller", "reader", "collector"]
"""What a member does: takes people; enrols them, too; only listens, as Home Assistant does; or keeps the log of all."""

PARTS: tuple[Part, ...] = ("follow", "enroller", "reader", "collector")

MORE_RIGHTS: Mapping[Part, tuple[str, ...]] = {
    "follow": (),
    "enroller": ("topic write facelatch/fleet/people/+",),
    "reader": (
        "topic read homeassistant/#",
        "topic write homeassistant/status",
        "topic read facelatch/+/state",
        "topic read facelatch/+/event",
        "topic read facelatch/+/availability",
        "topic read facelatch/+/people",
        "topic read facelatch/+/receipts/+",
    ),
    "collector": (
        "topic read facelatch/+/log",
        "topic write facelatch/+/log/ack",
        "topic write facelatch/fleet/collector",
    ),
}
"""Lines of the access list, besides those that all have. A log also says what somebody was forced to do, so only the
collector reads it."""


@dataclass(frozen=True, slots=True)
class Member:
    """A door of the fleet, or another client of its broker."""

    part: Part
    signing_key: bytes | None = field(repr=False)
    """Of one that enrols."""
    certificate: str = ""
    """PEM."""
    private_key: str = field(default="", repr=False)
    """PEM, of the certificate."""

    @property
    def is_door(self) -> bool:
        """Whether it has a gallery, and so what opens the people's envelopes."""
        return self.part in ("follow", "enroller")

    @property
    def public_key(self) -> bytes:
        """Of the signing key. Raises ValueError where there is none."""
        if self.signing_key is None:
            raise ValueError("enrols nobody")
        return Ed25519PrivateKey.from_private_bytes(self.signing_key).public_key().public_bytes_raw()


@dataclass(frozen=True, slots=True)
class Authority:
    """All there is to know of a fleet."""

    fleet: str
    pepper: bytes = field(repr=False)
    keys: Mapping[int, bytes] = field(repr=False)
    members: Mapping[str, Member]
    revoked: tuple[str, ...] = ()
    """The certificates (PEM) that count no more."""
    hosts: tuple[str, ...] = ()
    """Names and addresses by which the doors reach the broker."""


def founded(hosts: tuple[str, ...]) -> Authority:
    """A new fleet without doors."""
    keys = {1: os.urandom(KEY_BYTES)}
    return Authority(fleet=os.urandom(16).hex(), pepper=os.urandom(KEY_BYTES), keys=keys, members={}, hosts=hosts)


def joined(authority: Authority, name: str, part: Part) -> Authority:
    """With one more member, which lacks its certificate. One that is there already stays as it is.

    Raises InputError: no name for a door, or the member is there as something else.
    """
    if not DOOR.fullmatch(name) or name == RESERVED:
        raise InputError(
            f"{name!a} is no name for a door", hint=f"1 to 32 of a-z, 0-9 and -; and not {RESERVED!r}"
        )
    there = authority.members.get(name)
    if there is not None and there.part != part:
        raise InputError(f"{name} is there already, as {there.part}", hint="revoke it first, or choose another name")
    if there is not None:
        return authority
    member = Member(part=part, signing_key=os.urandom(KEY_BYTES) if part == "enroller" else None)
    return replace(authority, members={**authority.members, name: member})


def revoked(authority: Authority, name: str) -> Authority:
    """Without a member whose certificate and signature count no more, and with another key. Raises InputError."""
    member = authority.members.get(name)
    if member is None:
        raise InputError(f"there is no {name!a} in this fleet", hint="`facelatch fleet doors` shows who is")
    rest = {other: one for other, one in authority.members.items() if other != name}
    certificates = (*authority.revoked, *((member.certificate,) if member.certificate else ()))
    return rotated(replace(authority, members=rest, revoked=certificates))


def rotated(authority: Authority) -> Authority:
    """With another key in force; some of the old ones still open what was sealed before."""
    keys = {**authority.keys, max(authority.keys) + 1: os.urandom(KEY_BYTES)}
    return replace(authority, keys=dict(sorted(keys.items())[-KEPT_KEYS:]))


def membership(authority: Authority, name: str) -> Membership:
    """What a door is told. Raises ValueError for a member that is no door."""
    member = authority.members[name]
    if not member.is_door:
        raise ValueError("is no door")
    enrollers = {other: one.public_key for other, one in authority.members.items() if one.part == "enroller"}
    return Membership(
        fleet=authority.fleet,
        door=name,
        keys=authority.keys,
        pepper=authority.pepper,
        enrollers=enrollers,
        signing_key=member.signing_key,
    )


def access_list(authority: Authority) -> str:
    """The access list of Mosquitto: each member writes its own topics, and has what its part needs."""
    lines = [
        "# Written by `facelatch fleet`. A user is the common name of a client's certificate.",
        "pattern readwrite facelatch/%u/#",
        "pattern read facelatch/fleet/#",
        "pattern write homeassistant/device/facelatch_%u/config",
        "pattern read homeassistant/status",
    ]
    for name, member in sorted(authority.members.items()):
        if MORE_RIGHTS[member.part]:
            lines += ["", f"user {name}", *MORE_RIGHTS[member.part]]
    return "\n".join(lines) + "\n"


def dumps(authority: Authority) -> bytes:
    """As `loads` takes it; every secret of the fleet but the key of the certificates' authority."""
    told = {
        "fleet": authority.fleet,
        "pepper": authority.pepper.hex(),
        "keys": {str(number): key.hex() for number, key in authority.keys.items()},
        "members": {
            name: {
                "part": one.part,
                "signing_key": one.signing_key.hex() if one.signing_key is not None else None,
                "certificate": one.certificate,
                "private_key": one.private_key,
            }
            for name, one in authority.members.items()
        },
        "revoked": list(authority.revoked),
        "hosts": list(authority.hosts),
    }
    return json.dumps(told, indent=1, sort_keys=True).encode("ascii") + b"\n"


def loads(data: bytes) -> Authority:
    """What `dumps` gave. Raises ValueError for anything else, and never shows a key."""
    try:
        found = json.loads(data)
        members = {
            name: Member(
                part=PARTS[PARTS.index(one["part"])],
                signing_key=bytes.fromhex(one["signing_key"]) if one["signing_key"] is not None else None,
                certificate=one["certificate"],
                private_key=one["private_key"],
            )
            for name, one in found["members"].items()
        }
        authority = Authority(
            fleet=found["fleet"],
            pepper=bytes.fromhex(found["pepper"]),
            keys={int(number): bytes.fromhex(key) for number, key in found["keys"].items()},
            members=members,
            revoked=tuple(found["revoked"]),
            hosts=tuple(found["hosts"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError("not what `facelatch fleet init` wrote") from None
    if not FLEET.fullmatch(authority.fleet) or not authority.keys or not all(map(DOOR.fullmatch, members)):
        raise ValueError("not what `facelatch fleet init` wrote")
    return authority
