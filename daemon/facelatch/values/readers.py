"""What readers and keypads say at the door, and what is asked about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

MOST_PIN_DIGITS = 12
KEYS = "0123456789*#"
"""What a keypad has, in the order in which Wiegand numbers it."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """A falling edge on one of the two lines of a Wiegand reader."""

    line: int
    """0 for DATA0, 1 for DATA1."""
    at: float
    """Monotonic seconds, stamped by the kernel."""
    number: int
    """Counts the edges of both lines, also those that were lost."""


@dataclass(frozen=True, slots=True)
class Stroke:
    """A key of a USB device that types."""

    device: str
    """keypad or card."""
    symbol: str = field(repr=False)
    """A digit, a letter, # for Enter, * for clear, or nothing where strokes were lost."""
    at: float
    """Monotonic seconds."""


Signal = Pulse | Stroke


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a keypad: a digit, # to enter, * to clear."""

    symbol: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CardRead:
    """A card held to a reader."""

    number: str = field(repr=False)
    """As `card_number` writes it."""


Entry = Key | CardRead


@dataclass(frozen=True, slots=True)
class Check:
    """Something to be compared with what is kept as a hash."""

    serial: int
    """The answer comes back with it."""
    code: str = field(repr=False)
    """The PIN, or the number of the card."""
    person: int | None
    """Whose PIN it would be; None: it is a card, whoever it belongs to."""


class Result(StrEnum):
    """How a comparison came out."""

    RIGHT = "right"
    DURESS = "duress"
    WRONG = "wrong"
    FAILED = "failed"
    """It could not be made."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The answer to a Check."""

    serial: int
    result: Result
    holder: int | None = None
    """Whose card it is; None: nobody's."""
    card: bool = False
    """Whether it was a card, not a PIN."""


def card_number(text: str) -> str | None:
    """One way to write the number of a card: decimal without leading zeros, or letters and digits.

    `12,34567` is the facility and the number of a card of 26 bits. None: it is no number of a card.
    """
    facility, comma, number = text.strip().partition(",")
    if comma:
        if not (facility.isascii() and facility.isdigit() and number.isascii() and number.isdigit()):
            return None
        if int(facility) > 0xFF or int(number) > 0xFFFF:
            return None
        return str((int(facility) << 16) + int(number))
    if not (facility.isascii() and facility.isalnum() and len(facility) <= 40):
        return None
    return str(int(facility)) if facility.isdigit() else facility.upper()
