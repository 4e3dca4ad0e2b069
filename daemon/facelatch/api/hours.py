"""Requests about when somebody may come, and about PINs and cards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from facelatch.api import hours_requests
from facelatch.api.answer import Answer, about
from facelatch.audit.events import EventKind
from facelatch.config.file import Config
from facelatch.config.schedules import load_schedules
from facelatch.errors import InputError
from facelatch.gallery.credentials import Hashed, Hasher, Pins, hasher, set_access, set_credentials
from facelatch.gallery.store import GalleryStore
from facelatch.sharing.membership import Membership
from facelatch.values.hours import Access
from facelatch.values.readers import card_number

HoursRequest = hours_requests.Set | hours_requests.Pin | hours_requests.Card


@dataclass(frozen=True, slots=True)
class House:
    """What a request about hours has to fit, and what hashes PINs: slowly, so not on the loop's thread."""

    hasher: Callable[[], Hasher]
    """Made with the first PIN or card, with its key where there is none yet. Raises GalleryError."""
    schedules: frozenset[str] = frozenset()
    min_pin_digits: int = 6
    member: Membership | None = None
    """Of the fleet, if the door is in one."""

    def prepared(self, request: HoursRequest) -> Hashed | None:
        """What comes of the PIN or card in `request`. Raises InputError for what is none, GalleryError."""
        match request:
            case hours_requests.Set(schedule=str(name)) if name not in self.schedules:
                known = ", ".join(sorted(self.schedules)) or "none yet"
                raise InputError(f"there is no schedule {name!r}", hint=f"in schedules.toml there is: {known}")
            case hours_requests.Pin(pin=pin, duress=duress):
                return Hashed(pins=Pins(pin=self._pin(pin, ""), duress=self._pin(duress, pin or "")))
            case hours_requests.Card(number=None):
                return Hashed(card="")
            case hours_requests.Card(number=str(text)):
                number = card_number(text)
                if number is None:
                    raise InputError(
                        "this is no number of a card", hint="digits or letters as a reader types them, or 12,34567"
                    )
                hasher = self.hasher()
                return Hashed(card=hasher.card(number), cards=hasher.cards(number))
        return None

    def _pin(self, code: str | None, other: str) -> str | None:
        if code is None:
            return None
        if fault := weakness(code, self.min_pin_digits) or likeness(code, other):
            raise InputError(f"this PIN will not do: {fault}", hint="choose another one")
        return self.hasher().pin(code)


def house(config: Config, pepper: bytes | None = None, member: Membership | None = None) -> House:
    """What the configuration says; `pepper` is the secret for PINs of a sealed gallery.

    Raises ConfigError for schedules that cannot be read.
    """
    folder = Path(config.storage.state_directory)
    return House(
        hasher=lambda: hasher(pepper, folder, member.pepper if member is not None else None),
        schedules=frozenset(load_schedules(Path(config.schedule.file), config.factors).windows),
        min_pin_digits=config.factors.min_pin_digits,
        member=member,
    )


def weakness(code: str, min_digits: int) -> str:
    """Why a PIN is too easily guessed; empty when it is not."""
    if len(code) < min_digits:
        return f"it has {len(code)} digits, at least {min_digits} are needed (factors.min_pin_digits)"
    steps = {(int(after) - int(before)) % 10 for before, after in pairwise(code)}
    return "its digits are all the same, or follow each other" if steps <= {0} or steps in ({1}, {9}) else ""


def likeness(code: str, other: str) -> str:
    """Why two PINs of one person are too alike: a slip of the finger must not be an alarm, nor hide one."""
    if len(code) != len(other):
        return ""
    differing = sum(one != two for one, two in zip(code, other, strict=True))
    near = abs(int(code) - int(other)) <= 1 if code else False
    return "the two PINs differ in fewer than two digits" if differing < 2 or near else ""


def execute(store: GalleryStore, request: HoursRequest, hashed: Hashed | None) -> Answer:
    """Does what `request` asks. Raises InputError, GalleryError; then nothing has changed."""
    if isinstance(request, hours_requests.Set):
        person, access = set_access(store, request.name, request.changes)
        event = about(person, EventKind.ACCESS_CHANGED, VALUE=in_words(access))
        return Answer({"name": person.name, "access": shown(access)}, True, (event,))
    if hashed is None:
        raise InputError("a PIN or card has to be prepared first", hint="this is a fault of the program: report it")
    person = set_credentials(store, request.name, hashed)
    has = (request.pin if isinstance(request, hours_requests.Pin) else request.number) is not None
    what = "PIN" if isinstance(request, hours_requests.Pin) else "card"
    event = about(person, EventKind.CREDENTIAL_CHANGED, KEY=what, REASON="set" if has else "taken away")
    return Answer({"name": person.name, what.lower(): has}, True, (event,))


def shown(access: Access) -> dict[str, Any]:
    """What is said of somebody's hours, PIN and card: nothing of whoever may always come by the face."""
    fields: dict[str, Any] = {
        "schedule": access.schedule,
        "valid_from": access.valid_from.isoformat() if access.valid_from else None,
        "valid_until": access.valid_until.isoformat() if access.valid_until else None,
        "suspended": access.suspended,
        "forget": access.forget,
        "pin": access.has_pin,
        "card": access.has_card,
    }
    return {key: value for key, value in fields.items() if value}


def in_words(access: Access) -> str:
    """The hours as a person reads them."""
    words = [
        f"schedule {access.schedule}" if access.schedule else "",
        f"from {access.valid_from}" if access.valid_from else "",
        f"until {access.valid_until}" if access.valid_until else "",
        "then forgotten" if access.forget else "",
        "suspended" if access.suspended else "",
    ]
    return ", ".join(filter(None, words)) or "at any time"
