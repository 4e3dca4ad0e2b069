"""The envelope in which one person travels: sealed by the key of the fleet, signed by a door that may enrol.

Its bytes are a magic number, the length of the header (4, big-endian), the header (JSON), then, unless the person is
revoked, nonce (12), ciphertext and tag (AES-256-GCM with magic and header as associated data), and last an Ed25519
signature (64) of all that is before it. The key of the cipher is derived from the fleet's by HKDF-SHA256. A revocation
has nothing sealed in it: also a door that lacks a newer key must obey it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from facelatch.sharing.membership import DOOR, Membership

if TYPE_CHECKING:  # a door in no fleet needs none of it, so each function imports what it uses
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAGIC = b"FLP1"
MAX_BYTES = 256 * 1024
"""Of one envelope: 64 references by two models need 200 KB."""
MAX_VERSION = 2**53
UUID = re.compile(r"[0-9a-f]{32}")

_LENGTH = struct.Struct(">I")
_MOST_HEADER, _NONCE, _TAG, _SIGNATURE = 1024, 12, 16, 64


class EnvelopeError(ValueError):
    """What came is no envelope that this door takes; the text is a stable code."""


@dataclass(frozen=True, slots=True)
class Header:
    """What anybody may read of an envelope."""

    fleet: str
    uuid: str
    version: int
    """Grows with each change of the person."""
    revoked: bool
    """Whether the person is gone for good."""
    key_id: int
    """The number of the key that it is sealed by; 0 where nothing is sealed."""
    signer: str
    """The door that signed it."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An envelope that was verified."""

    header: Header
    content: bytes = field(repr=False)
    """What was sealed in it; empty where the person is revoked."""
    data: bytes = field(repr=False)
    """The envelope itself, as it came."""

    @property
    def digest(self) -> str:
        """The sha256 of the envelope, in hex."""
        return digest(self.data)


def digest(data: bytes) -> str:
    """The sha256 of an envelope, in hex."""
    return hashlib.sha256(data).hexdigest()


def close(member: Membership, uuid: str, version: int, content: bytes | None) -> bytes:
    """The envelope with `content`, by the newest key of `member`; None revokes the person.

    Raises ValueError where this door may not enrol.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if member.signing_key is None:
        raise ValueError("this door may not enrol for the fleet")
    key_id = 0 if content is None else max(member.keys)
    header = Header(member.fleet, uuid, version, content is None, key_id, member.door)
    front = _front(header)
    sealed = b""
    if content is not None:
        nonce = os.urandom(_NONCE)
        sealed = nonce + _cipher(member, key_id).encrypt(nonce, content, front)
    signature = Ed25519PrivateKey.from_private_bytes(member.signing_key).sign(front + sealed)
    return front + sealed + signature


def open_(member: Membership, data: bytes) -> Opened:
    """What is in an envelope, whoever brought it. Raises EnvelopeError for all that no enroller of this fleet made."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    header, front = _header(data)
    if header.fleet != member.fleet:
        raise EnvelopeError("another_fleet")
    enroller = member.enrollers.get(header.signer)
    if enroller is None:
        raise EnvelopeError("unknown_signer")
    try:
        Ed25519PublicKey.from_public_bytes(enroller).verify(data[-_SIGNATURE:], data[:-_SIGNATURE])
    except InvalidSignature:
        raise EnvelopeError("forged") from None
    return _unsealed(member, header, front, data)


def reopen(member: Membership, data: bytes) -> Opened:
    """What is in an envelope that this door has verified once, whoever may enrol today. Raises EnvelopeError."""
    header, front = _header(data)
    return _unsealed(member, header, front, data)


def _unsealed(member: Membership, header: Header, front: bytes, data: bytes) -> Opened:
    from cryptography.exceptions import InvalidTag

    sealed = data[len(front) : -_SIGNATURE]
    if header.revoked:
        if sealed:
            raise EnvelopeError("malformed")
        return Opened(header, b"", data)
    if header.key_id not in member.keys:
        raise EnvelopeError("unknown_key")
    try:
        content = _cipher(member, header.key_id).decrypt(sealed[:_NONCE], sealed[_NONCE:], front)
    except InvalidTag:
        raise EnvelopeError("not_sealed_by_the_fleet") from None
    return Opened(header, content, data)


def header_of(data: bytes) -> Header:
    """What anybody may read of an envelope, verified by nobody yet. Raises EnvelopeError for what is none."""
    return _header(data)[0]


def _front(header: Header) -> bytes:
    fields = {
        "fleet": header.fleet,
        "uuid": header.uuid,
        "version": header.version,
        "revoked": header.revoked,
        "key": header.key_id,
        "signer": header.signer,
    }
    text = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode("ascii")
    return MAGIC + _LENGTH.pack(len(text)) + text


def _header(data: bytes) -> tuple[Header, bytes]:
    """The header, and the bytes up to its end. Raises EnvelopeError."""
    start = len(MAGIC) + _LENGTH.size
    if len(data) > MAX_BYTES:
        raise EnvelopeError("too_large")
    if len(data) < start + _SIGNATURE or data[: len(MAGIC)] != MAGIC:
        raise EnvelopeError("malformed")
    (length,) = _LENGTH.unpack(data[len(MAGIC) : start])
    if length > min(_MOST_HEADER, len(data) - start - _SIGNATURE):
        raise EnvelopeError("malformed")
    try:
        found = json.loads(data[start : start + length])
        header = Header(
            fleet=found["fleet"],
            uuid=found["uuid"],
            version=found["version"],
            revoked=found["revoked"],
            key_id=found["key"],
            signer=found["signer"],
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        raise EnvelopeError("malformed") from None
    front = data[: start + length]
    if not _sound(header, sealed=len(data) - len(front) - _SIGNATURE) or _front(header) != front:
        raise EnvelopeError("malformed")
    return header, front


def _sound(header: Header, *, sealed: int) -> bool:
    """Whether every field is what it should be; a field of another type is none."""
    return (
        isinstance(header.fleet, str)
        and isinstance(header.uuid, str)
        and UUID.fullmatch(header.uuid) is not None
        and type(header.version) is int
        and 1 <= header.version <= MAX_VERSION
        and isinstance(header.revoked, bool)
        and type(header.key_id) is int
        and isinstance(header.signer, str)
        and DOOR.fullmatch(header.signer) is not None
        and (sealed >= _NONCE + _TAG or header.revoked)
    )


def _cipher(member: Membership, key_id: int) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    info = f"facelatch/fleet/people/{key_id}".encode()
    return AESGCM(HKDF(SHA256(), 32, bytes.fromhex(member.fleet), info).derive(member.keys[key_id]))
