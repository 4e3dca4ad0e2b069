"""The ledger's chain: what each row is bound to.

Each row carries two links. `hash` is SHA-256 over the row before and this one: anybody can follow it, and anybody who
can write the file can make it anew, so it proves something as far as an anchor kept elsewhere reaches. `tag` is an HMAC
under a key that is replaced by its own hash after each row: whoever breaks in finds the key of the next row only, and
can make no row anew that was written before. The start key, which all keys follow from, is kept outside.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from dataclasses import dataclass

from facelatch.audit.events import Event, EventKind

KEY_BYTES = 32
HASH_BYTES = 32
TAG_BYTES = 16
"""Of 32: nobody can try 2^127 keys, and a row is smaller."""

NOTHING = bytes(HASH_BYTES)
"""What the very first row follows upon."""

LEFT_OUT = frozenset({"PERSON", "NEAREST", "HINT", "FILE", "ACTOR"})
"""Fields of events that the ledger does not keep: names of people, and text in which one may stand. An account of a
console may be called like a person."""

FREE_REASONS = frozenset({EventKind.ENROLMENT_SAVE_FAILED})
"""Kinds whose REASON is a sentence, in which a name may stand."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When something happened, by every clock there is."""

    wall_ms: int
    trusted: bool
    """Whether the wall clock has been set."""
    mono_ms: int
    boot: str


@dataclass(frozen=True, slots=True)
class Row:
    """One event as the ledger keeps it."""

    seq: int
    """From 1, without a gap."""
    wall_ms: int
    """Unix time, milliseconds."""
    trusted: bool
    """Whether the clock had been set by then."""
    mono_ms: int
    """Since the machine was started."""
    boot: str
    """Which start of the machine."""
    kind: str
    fields: str
    """JSON object, keys in order."""
    hash: bytes = b""
    tag: bytes = b""

    @property
    def record(self) -> bytes:
        """What the links cover: everything but the links."""
        return json.dumps(
            [self.seq, self.wall_ms, int(self.trusted), self.mono_ms, self.boot, self.kind, self.fields]
        ).encode("ascii")


def kept_fields(event: Event) -> str:
    """The fields of `event` without names and free text, as a row has them."""
    left_out = LEFT_OUT | ({"REASON"} if event.kind in FREE_REASONS else set())
    kept = {name: value for name, value in event.fields.items() if name not in left_out}
    return json.dumps(kept, sort_keys=True, separators=(",", ":"))


def link(previous: bytes, record: bytes) -> bytes:
    """The plain link: SHA-256 over the hash of the row before and this record."""
    return hashlib.sha256(previous + record).digest()


def seal(key: bytes, previous: bytes, record: bytes) -> bytes:
    """The keyed link, over the tag of the row before and this record."""
    return hmac.digest(key, previous + record, "sha256")[:TAG_BYTES]


def evolved(key: bytes, rows: int = 1) -> bytes:
    """The key so many rows later. There is no way back."""
    for _ in range(rows):
        key = hashlib.sha256(b"facelatch ledger next" + key).digest()
    return key


def commitment(start_key: bytes) -> bytes:
    """By which a start key is recognised; it says nothing about the key."""
    return hashlib.sha256(b"facelatch ledger start" + start_key).digest()


def key_letters(key: bytes) -> str:
    """A key for people to write down: 52 letters and digits in groups of four."""
    text = base64.b32encode(key).decode("ascii").rstrip("=")
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def key_of_letters(text: str) -> bytes:
    """The key that was written down; spaces, dashes and lower case make no difference. Raises ValueError."""
    letters = re.sub(r"[\s-]", "", text).upper()
    try:
        key = base64.b32decode(letters + "=" * (-len(letters) % 8))
    except ValueError as error:  # binascii.Error is one
        raise ValueError("not a start key: 52 letters A to Z and digits 2 to 7") from error
    if len(key) != KEY_BYTES:
        raise ValueError(f"not a start key: {len(letters)} letters, it has 52")
    return key


@dataclass(frozen=True, slots=True)
class Base:
    """What the first row that is kept follows upon."""

    seq: int = 0
    hash: bytes = NOTHING
    tag: bytes = bytes(TAG_BYTES)


@dataclass(frozen=True, slots=True)
class Epoch:
    """The rows that one start key covers: from `first` to the next epoch."""

    first: int
    commitment: bytes
