"""What one door knows of its fleet: the keys, and who may enrol. Made by `facelatch fleet join`, kept by the daemon."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

DOOR = re.compile(r"[a-z0-9-]{1,32}")
FLEET = re.compile(r"[0-9a-f]{32}")
KEY_BYTES = 32
MOST_KEYS = 16


@dataclass(frozen=True, slots=True)
class Membership:
    """The keys are secrets of all doors of the fleet, the signing key is one of this door alone."""

    fleet: str
    """The fleet's number, 32 hex digits."""
    door: str
    keys: Mapping[int, bytes] = field(repr=False)
    """The keys that people are sealed by (32 bytes each), by their numbers; the highest is in force."""
    pepper: bytes = field(repr=False)
    """The secret (32 bytes) by which PINs and cards are hashed that hold at every door."""
    enrollers: Mapping[str, bytes]
    """The public keys (Ed25519, 32 bytes) of the doors whose signature counts, by name."""
    signing_key: bytes | None = field(default=None, repr=False)
    """The private one of this door, where it may enrol."""

    @property
    def enrols(self) -> bool:
        """Whether this door may change who is known to the fleet."""
        return self.signing_key is not None and self.door in self.enrollers

    @property
    def follower(self) -> Membership:
        """The same for a door that takes people and enrols none."""
        return replace(self, signing_key=None)


def dumps(member: Membership) -> bytes:
    """As `loads` takes it."""
    told = {
        "fleet": member.fleet,
        "door": member.door,
        "keys": {str(number): key.hex() for number, key in member.keys.items()},
        "pepper": member.pepper.hex(),
        "enrollers": {name: key.hex() for name, key in member.enrollers.items()},
        "signing_key": member.signing_key.hex() if member.signing_key is not None else None,
    }
    return json.dumps(told, indent=1, sort_keys=True).encode("ascii") + b"\n"


def loads(data: bytes) -> Membership:
    """What `dumps` gave. Raises ValueError that says what is wrong, and never shows a key."""
    try:
        found = json.loads(data)
        member = Membership(
            fleet=found["fleet"],
            door=found["door"],
            keys={int(number): _key(key) for number, key in found["keys"].items()},
            pepper=_key(found["pepper"]),
            enrollers={name: _key(key) for name, key in found["enrollers"].items()},
            signing_key=_key(found["signing_key"]) if found["signing_key"] is not None else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError("not what `facelatch fleet join` wrote") from None
    if not isinstance(member.fleet, str) or not FLEET.fullmatch(member.fleet):
        raise ValueError("it names no fleet")
    if not isinstance(member.door, str) or not all(map(DOOR.fullmatch, [member.door, *member.enrollers])):
        raise ValueError("a door's name is none")
    if not 1 <= len(member.keys) <= MOST_KEYS or min(member.keys) < 1:
        raise ValueError("it has no keys")
    return member


def _key(text: str) -> bytes:
    key = bytes.fromhex(text)
    if len(key) != KEY_BYTES:
        raise ValueError("a key of another length")
    return key
