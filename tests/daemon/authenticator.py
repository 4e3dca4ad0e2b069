"""A passkey in software, as a phone would have it, that tests can also make lie."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import struct
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def data(value: str) -> bytes:
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))


@dataclass
class Authenticator:
    """One key; what it signs is said by the arguments, so that a test can change any of it."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    id: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    count: int = 0
    handle: bytes = b""

    def make(self, options: str, origin: str, *, site: str = "", flags: int = PRESENT | VERIFIED) -> str:
        """What a browser sends after `navigator.credentials.create()`."""
        asked = json.loads(options)
        self.handle = data(asked["user"]["id"])
        point = self.key.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")}
        attested = b"\0" * 16 + struct.pack(">H", len(self.id)) + self.id + cbor2.dumps(cose)
        about = self._about(site or asked["rp"]["id"], flags | ATTESTED) + attested
        said = _said("webauthn.create", asked["challenge"], origin)
        statement = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": about})
        return self._sent({"clientDataJSON": text(said), "attestationObject": text(statement)})

    def sign(
        self, options: str, origin: str, *, site: str = "", flags: int = PRESENT | VERIFIED, handle: bytes | None = None
    ) -> str:
        """What a browser sends after `navigator.credentials.get()`; each time it counts one on."""
        asked = json.loads(options)
        self.count += 1
        about = self._about(site or asked["rpId"], flags)
        said = _said("webauthn.get", asked["challenge"], origin)
        signature = self.key.sign(about + hashlib.sha256(said).digest(), ec.ECDSA(hashes.SHA256()))
        parts = {"clientDataJSON": said, "authenticatorData": about, "signature": signature}
        parts["userHandle"] = self.handle if handle is None else handle
        return self._sent({name: text(part) for name, part in parts.items()})

    def _about(self, site: str, flags: int) -> bytes:
        return hashlib.sha256(site.encode()).digest() + bytes([flags]) + struct.pack(">I", self.count)

    def _sent(self, response: dict[str, Any]) -> str:
        return json.dumps({"id": text(self.id), "rawId": text(self.id), "type": "public-key",
                           "response": response, "clientExtensionResults": {}})  # fmt: skip


def _said(kind: str, challenge: str, origin: str) -> bytes:
    return json.dumps({"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": False}).encode()
