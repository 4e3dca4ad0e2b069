"""PINs and cards at rest: hashes that need a key of this device, so that a copied gallery tells neither.

A PIN is hashed by argon2id over its HMAC with the key. A card is looked up, so it is its HMAC alone: whoever has the
key as well can try all numbers of a card, of which there are few.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facelatch.errors import GalleryError, InputError
from facelatch.gallery import access as access_rows
from facelatch.gallery import rows
from facelatch.gallery.fleet_schema import HELD
from facelatch.gallery.place import explained
from facelatch.gallery.seal import Tables
from facelatch.gallery.sealing import PEPPER_BYTES, PEPPER_FILE
from facelatch.gallery.store import GalleryStore
from facelatch.private_files import create_private, sync_directory
from facelatch.sharing.content import FLEET_HASH
from facelatch.values.hours import Access
from facelatch.values.readers import Result
from facelatch.values.records import Person

KEY_NAME = PEPPER_FILE
TIME_COST, MEMORY_KIB, LANES = 3, 32 * 1024, 1
"""Of argon2id: a fraction of a second on a Raspberry Pi, in memory that the daemon's unit has to spare."""


@dataclass(frozen=True, slots=True)
class Pins:
    """The hashes of one person."""

    pin: str | None = field(default=None, repr=False)
    duress: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Hashed:
    """What somebody's PIN and card are to become. For either, an empty text takes it away and None leaves it."""

    pins: Pins | None = None
    card: str | None = field(default=None, repr=False)
    cards: tuple[str, ...] = field(default=(), repr=False)
    """All hashes that somebody may have been given this card as."""


@dataclass(frozen=True, slots=True)
class Hasher:
    """Makes and compares hashes by the key of the device. May be used by several threads."""

    key: bytes = field(repr=False)
    fleet: bytes | None = field(default=None, repr=False)
    """The key of the fleet, where the door is in one: what is hashed from then on counts at every door."""

    def pin(self, code: str) -> str:
        """The hash of a PIN; takes a while, on purpose. Raises InputError where argon2 is not installed."""
        key, prefix = (self.key, "") if self.fleet is None else (self.fleet, FLEET_HASH)
        return prefix + str(_argon2().PasswordHasher(TIME_COST, MEMORY_KIB, LANES).hash(_keyed(key, "pin", code)))

    def card(self, number: str) -> str:
        """The hash of a card's number."""
        return self.cards(number)[0]

    def cards(self, number: str) -> tuple[str, ...]:
        """All hashes that a card may be kept as, the one of `card` first."""
        own = _keyed(self.key, "card", number).hex()
        return (own,) if self.fleet is None else (FLEET_HASH + _keyed(self.fleet, "card", number).hex(), own)

    def check(self, pins: Pins, code: str) -> Result:
        """Whether `code` is the PIN, the duress PIN, or wrong. Takes as long whichever it is. Raises InputError."""
        found = [self._verified(one, code) for one in (pins.pin, pins.duress) if one is not None]
        if pins.duress is not None and found[-1]:
            return Result.DURESS
        return Result.RIGHT if pins.pin is not None and found[0] else Result.WRONG

    def _verified(self, stored: str, code: str) -> bool:
        argon2, of_fleet = _argon2(), stored.startswith(FLEET_HASH)
        key = self.fleet if of_fleet else self.key
        if key is None:
            raise InputError("a stored PIN is of a fleet that this door has left", hint="`facelatch people pin NAME`")
        try:
            return bool(
                argon2.PasswordHasher().verify(stored.removeprefix(FLEET_HASH), _keyed(key, "pin", code))
            )
        except argon2.exceptions.VerifyMismatchError:
            return False
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError) as error:
            raise InputError("a stored PIN is damaged", hint="set it again: `facelatch people pin NAME`") from error


def _keyed(key: bytes, purpose: str, text: str) -> bytes:
    return hmac.new(key, f"{purpose}:{text}".encode(), hashlib.sha256).digest()


def _argon2() -> Any:
    try:
        import argon2
    except ImportError as error:
        raise InputError("argon2 is not installed: no PIN can be checked", hint="pip install argon2-cffi") from error
    return argon2


def device_hasher(directory: Path, *, create: bool = False) -> Hasher:
    """The hasher of the state directory. Raises GalleryError: no key there (unless `create`), unreadable, damaged."""
    path = directory / KEY_NAME
    with explained(path):
        if create and not path.exists():
            draft = path.with_name(f".{KEY_NAME}.{os.getpid()}.{threading.get_ident()}")
            draft.unlink(missing_ok=True)
            with os.fdopen(create_private(draft), "wb") as stream:
                stream.write(os.urandom(PEPPER_BYTES))
                stream.flush()
                os.fsync(stream.fileno())
            with suppress(FileExistsError):
                os.link(draft, path)  # unlike a rename it does not replace a key that another thread has just made
            draft.unlink()
            sync_directory(directory)
        key = path.read_bytes()
    if len(key) != PEPPER_BYTES:
        raise GalleryError(f"{path}: damaged: {len(key)} bytes", hint="remove it, and set all PINs and cards again")
    return Hasher(key)


def hasher(pepper: bytes | None, directory: Path, fleet: bytes | None = None) -> Hasher:
    """By the secret that lies sealed in the gallery, else by the key in the state directory, made where there is none.
    `fleet` is the secret that all doors of the fleet have.

    Raises GalleryError as `device_hasher` does.
    """
    own = Hasher(pepper) if pepper is not None else device_hasher(directory, create=True)
    return Hasher(own.key, fleet)


# In the gallery


def set_access(store: GalleryStore, name: str, changes: dict[str, Any]) -> tuple[Person, Access]:
    """Changes some fields of when a person may come.

    Raises InputError: unknown, or the last day is before the first. Raises GalleryError.
    """
    with store.transaction() as connection:
        person = rows.find(connection, name)
        (record,) = rows.records(connection, person.id - 1, 1)
        kept = {key: getattr(record.access, key) for key in access_rows.ACCESS_COLUMNS.split(", ")}
        access = Access(**{**kept, **changes})
        if access.valid_from and access.valid_until and access.valid_until < access.valid_from:
            raise InputError(
                f"{person.name} would have to come before {access.valid_from} and until {access.valid_until}",
                hint="--until is the last day, and not before --from",
            )
        access_rows.set_access(connection, person.id, access)
    return person, access


def set_credentials(store: GalleryStore, name: str, hashed: Hashed) -> Person:
    """Keeps, or forgets, hashes for a person. Raises InputError: unknown, the card is another's; GalleryError."""
    with store.transaction() as connection:
        person = rows.find(connection, name)
        connection.execute("INSERT OR IGNORE INTO credentials (person_id) VALUES (?)", (person.id,))
        if hashed.pins is not None:
            connection.execute(
                "UPDATE credentials SET pin_hash = ?, duress_hash = ? WHERE person_id = ?",
                (hashed.pins.pin or None, hashed.pins.duress or None, person.id),
            )
        if hashed.card is not None:
            _refuse_taken(connection, person, (hashed.card, *hashed.cards))
            connection.execute(
                "UPDATE credentials SET card_hash = ? WHERE person_id = ?", (hashed.card or None, person.id)
            )
    return person


def _refuse_taken(connection: Tables, person: Person, hashes: tuple[str, ...]) -> None:
    places = ",".join("?" * len(hashes))
    query = f"SELECT 1 FROM credentials WHERE card_hash IN ({places}) AND person_id <> ?"
    if connection.execute(query, (*hashes, person.id)).fetchone() is not None:
        raise InputError("this card is another person's", hint="`facelatch people card OTHER --remove` first")


def pins_of(store: GalleryStore, person_id: int) -> Pins:
    """The hashes of somebody's PINs. Raises GalleryError, also where they are not what was sealed."""
    with store.transaction() as connection:
        _bound(connection, person_id)
        found = connection.execute(
            "SELECT pin_hash, duress_hash FROM credentials WHERE person_id = ?", (person_id,)
        ).fetchone()
    return Pins(*found) if found is not None else Pins()


def card_holder(store: GalleryStore, *hashes: str) -> int | None:
    """Whose card has one of these hashes; nobody's where two have, or where the one who has is held.

    Raises GalleryError, also where that person's hashes are not what was sealed.
    """
    places = ",".join("?" * len(hashes))
    with store.transaction() as connection:
        found = connection.execute(
            f"SELECT person_id FROM credentials WHERE card_hash IN ({places}) AND person_id NOT IN ({HELD})", hashes
        ).fetchall()
        for (person_id,) in found:
            _bound(connection, person_id)
    return int(found[0][0]) if len(found) == 1 else None


def _bound(connection: Tables, person_id: int) -> None:
    """Raises GalleryError where what is stored of a person was altered since it was sealed."""
    if connection.binding is not None:
        connection.binding.holds(person_id)
