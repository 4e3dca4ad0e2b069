"""What tests of a fleet share: memberships of its doors, and people as envelopes."""

from __future__ import annotations

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from facelatch.adapters.fakes import FakeVerifier
from facelatch.gallery.embeddings import maker
from facelatch.sharing.content import Content, pack
from facelatch.sharing.envelope import close
from facelatch.sharing.membership import Membership
from facelatch.vision.references import embed_reference

FLEET = "f1" * 16
KEYS = {1: bytes(range(32))}
SIGNING = {name: bytes([number]) * 32 for number, name in enumerate(("front", "back", "garage"), start=1)}
PUBLIC = {
    name: Ed25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw() for name, key in SIGNING.items()
}
ENROLLERS = {name: key for name, key in PUBLIC.items() if name != "garage"}
MADE_BY = maker(FakeVerifier().model_sha256)

Colour = tuple[int, int, int]


def member(door: str, **changes: object) -> Membership:
    """front and back may enrol, garage follows."""
    given = {
        "fleet": FLEET,
        "door": door,
        "keys": KEYS,
        "pepper": b"p" * 32,
        "enrollers": ENROLLERS,
        "signing_key": SIGNING[door] if door in ENROLLERS else None,
    }
    return Membership(**{**given, **changes})  # type: ignore[arg-type]


def face(colour: Colour, count: int = 2) -> np.ndarray:
    """Embeddings (count, D) of whom the fake verifier knows by a colour."""
    one = embed_reference(FakeVerifier().embed, np.full((112, 112, 3), colour, np.uint8))
    return np.stack([one] * count)


def content(name: str, colour: Colour, *, made_by: str = MADE_BY, **fields: object) -> bytes:
    """What is sealed in an envelope."""
    given: dict[str, object] = {"name": name, "enrolled": 1_000, **fields}
    return pack(Content.model_validate(given), {made_by: face(colour)})


def envelope(
    name: str, colour: Colour, *, uuid: str = "a" * 32, version: int = 1, by: Membership | None = None, **fields: object
) -> bytes:
    """Somebody as another door tells of them."""
    return close(by or member("front"), uuid, version, content(name, colour, **fields))


def tombstone(uuid: str = "a" * 32, version: int = 2, by: Membership | None = None) -> bytes:
    """A revocation."""
    return close(by or member("front"), uuid, version, None)
