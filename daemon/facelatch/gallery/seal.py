"""The encryption of what the gallery keeps of people. Each piece is bound to the row and the person it belongs to."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from facelatch.errors import GalleryError
from facelatch.gallery.place import RESTORE

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
SALT_BYTES = 32

_VERSION = 1
_HEADER = struct.Struct(">BH")
"""In front of every piece: version of the format and number of the key."""
_NONCE_BYTES, _TAG_BYTES = 12, 16

_PROOF, _UNBOUND_PROOF = b"facelatch: everything is bound", b"facelatch"
"""What is sealed to tell another key from a damaged gallery; the second one was so before what stands beside the sealed
pieces was bound (`binding.py`)."""


class Unsealed:
    """No encryption: everything is kept as it is. Also the interface of `Sealed`, which is the same with a key.

    `purpose` is crops, embeddings or names; `where` says whose the piece is: row, person, and what must not be changed
    beside it without the key.
    """

    key_id: int | None = None
    """The number of the key in force; None without one."""

    pepper: bytes | None = None
    """A secret (32 bytes) to hash PINs and cards with. It lies sealed in the gallery, so it outlives the key; None
    where there is no key, and it has to come from elsewhere."""

    @property
    def words(self) -> str:
        """For people: sealed or not, by which key."""
        return "not sealed" if self.key_id is None else f"sealed, key {self.key_id}"

    def is_from(self, master: bytes) -> bool:  # noqa: ARG002  (of the interface)
        """Whether everything here is derived from `master`."""
        return False

    def close(self, data: bytes, purpose: str, *where: object) -> bytes:  # noqa: ARG002
        """`data` as it is stored."""
        return data

    def open(self, data: bytes, purpose: str, *where: object) -> bytes:  # noqa: ARG002
        """What was stored at this place. Raises GalleryError unless it was stored by this key at this very place."""
        return data

    def close_text(self, text: str, purpose: str, *where: object) -> str:  # noqa: ARG002
        """`text` as it is stored in a column of texts."""
        return text

    def open_text(self, stored: str, purpose: str, *where: object) -> str:  # noqa: ARG002
        """The text that was stored at this place. Raises GalleryError as `open` does."""
        return stored

    def index(self, text: str) -> str:
        """Equal for equal texts, so that a text can be looked up that is nowhere to be read."""
        return text

    def derived(self, purpose: str) -> bytes | None:  # noqa: ARG002
        """A key (32 bytes) for something else; another one after each `rotate`, and None where there is no key."""
        return None


UNSEALED = Unsealed()


class Sealed(Unsealed):
    """AES-256-GCM with a key for each purpose, derived by HKDF-SHA256.

    A piece is version (1 byte), number of the key (2), nonce (12, random), ciphertext, tag (16).
    """

    def __init__(self, master: bytes, salt: bytes, key_id: int) -> None:
        """`master` is the device's key, `salt` the gallery's own. Raises ValueError for a short key."""
        if len(master) != KEY_BYTES:
            raise ValueError(f"the key has {len(master)} bytes, it must have {KEY_BYTES}")
        self._master, self._salt, self.key_id = master, salt, key_id
        self._ciphers: dict[str, AESGCM] = {}
        self._index_key: bytes | None = None

    def is_from(self, master: bytes) -> bool:
        """See `Unsealed`."""
        return hmac.compare_digest(self._master, master)

    def derived(self, purpose: str) -> bytes:
        """See `Unsealed`."""
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        info = f"facelatch/{purpose}/{self.key_id}".encode()
        return HKDF(SHA256(), KEY_BYTES, self._salt, info).derive(self._master)

    def _cipher(self, purpose: str) -> AESGCM:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if purpose not in self._ciphers:
            self._ciphers[purpose] = AESGCM(self.derived(purpose))
        return self._ciphers[purpose]

    def close(self, data: bytes, purpose: str, *where: object) -> bytes:
        """See `Unsealed`."""
        assert self.key_id is not None
        header, nonce = _HEADER.pack(_VERSION, self.key_id), os.urandom(_NONCE_BYTES)
        return header + nonce + self._cipher(purpose).encrypt(nonce, data, _place(header, purpose, where))

    def open(self, data: bytes, purpose: str, *where: object) -> bytes:
        """See `Unsealed`."""
        from cryptography.exceptions import InvalidTag

        header, nonce = data[: _HEADER.size], data[_HEADER.size :][:_NONCE_BYTES]
        if len(data) >= _HEADER.size + _NONCE_BYTES + _TAG_BYTES:
            rest = data[_HEADER.size + _NONCE_BYTES :]
            try:
                return self._cipher(purpose).decrypt(nonce, rest, _place(header, purpose, where))
            except InvalidTag:
                pass
        raise GalleryError(
            f"damaged or altered: {purpose} {'/'.join(map(str, where))} is not what was sealed there", hint=RESTORE
        )

    def close_text(self, text: str, purpose: str, *where: object) -> str:
        """See `Unsealed`."""
        return base64.b64encode(self.close(text.encode(), purpose, *where)).decode("ascii")

    def open_text(self, stored: str, purpose: str, *where: object) -> str:
        """See `Unsealed`."""
        try:
            data = base64.b64decode(stored, validate=True)
        except (binascii.Error, ValueError):
            data = b""  # nothing that this key has sealed
        return self.open(data, purpose, *where).decode()

    def index(self, text: str) -> str:
        """See `Unsealed`."""
        if self._index_key is None:
            self._index_key = self.derived("index")
        return hmac.new(self._index_key, text.encode(), hashlib.sha256).hexdigest()

    def proof(self) -> bytes:
        """A piece by which `proves` knows this key again."""
        return self.close(_PROOF, "proof")

    def proves(self, proof: bytes) -> bool:
        """Whether this key, of this gallery, made the piece."""
        try:
            return self.open(proof, "proof") in (_PROOF, _UNBOUND_PROOF)
        except GalleryError:
            return False

    def binds(self, proof: bytes) -> bool:
        """Whether the piece, which this key `proves`, says that everything is bound."""
        return self.open(proof, "proof") == _PROOF


def _place(header: bytes, purpose: str, where: tuple[object, ...]) -> bytes:
    return header + "|".join(map(str, (purpose, *where))).encode()


class Bound(Protocol):
    """What `binding.Binding` does for a connection."""

    identity: bytes
    generation: int

    def holds(self, person_id: int) -> None:
        """Raises GalleryError where what is stored of one person is not what was sealed."""

    def verify(self) -> None:
        """The same for everything."""

    def renew(self) -> None:
        """Binds what the transaction under way has changed."""

    def settle(self, *, committed: bool) -> None:
        """After the transaction."""


class Tables(sqlite3.Connection):
    """A connection to the gallery, with the seal its rows are under, and what binds those that are not sealed."""

    seal: Unsealed = UNSEALED
    binding: Bound | None = None


@contextmanager
def atomic(connection: Tables) -> Iterator[None]:
    """Everything inside is saved when the block ends; when it raises nothing is, and the seal is the one of before."""
    seal, committed = connection.seal, False
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        if connection.binding is not None:
            connection.binding.renew()
        connection.execute("COMMIT")
        committed = True
    except BaseException:
        connection.seal = seal
        # A full disk makes SQLite roll back by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    finally:
        if connection.binding is not None:
            connection.binding.settle(committed=committed)
