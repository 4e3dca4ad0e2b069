"""Machine: strokes of USB devices that type -> cards and keys.

| device | stroke                                      | next                                          |
|--------|---------------------------------------------|-----------------------------------------------|
| keypad | a digit, # or *                             | a key                                         |
| keypad | strokes were lost                           | a * (what was typed so far is cleared)        |
| card   | a digit or a letter                         | typed so far, one more                        |
| card   | one that comes later than PAUSE_SECONDS     | begins anew with it                           |
| card   | strokes were lost                           | spoiled until the next #                      |
| card   | #, with SHORTEST to LONGEST symbols typed   | a card                                        |
| card   | # otherwise, or spoiled                     | nothing; counted as refused                   |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from facelatch.values.readers import KEYS, CardRead, Entry, Key, Stroke, card_number

PAUSE_SECONDS = 1.0
"""A reader types faster than that; what a child at the keyboard typed before is not part of a number."""
SHORTEST, LONGEST = 4, 40


@dataclass(frozen=True, slots=True)
class Typing:
    """What a card reader has typed so far."""

    typed: str = field(default="", repr=False)
    last: float = 0.0
    spoiled: bool = False
    entries: tuple[Entry, ...] = ()
    """What came of it on this turn."""
    refused: int = 0


def advance(state: Typing, strokes: Sequence[Stroke]) -> Typing:
    """The state after the strokes of this turn."""
    state = replace(state, entries=(), refused=0)
    for stroke in strokes:
        state = _pressed(state, stroke) if stroke.device == "keypad" else _typed(state, stroke)
    return state


def _pressed(state: Typing, stroke: Stroke) -> Typing:
    symbol = stroke.symbol or "*"
    known = len(symbol) == 1 and symbol in KEYS
    return replace(state, entries=(*state.entries, Key(symbol))) if known else state


def _typed(state: Typing, stroke: Stroke) -> Typing:
    if stroke.at - state.last > PAUSE_SECONDS:
        state = replace(state, typed="", spoiled=False)
    state = replace(state, last=stroke.at)
    if not stroke.symbol:
        return replace(state, spoiled=True)
    if stroke.symbol != "#":
        typed = state.typed + stroke.symbol
        return replace(state, typed=typed[: LONGEST + 1], spoiled=state.spoiled or stroke.symbol == "*")
    number = card_number(state.typed)
    sound = number is not None and not state.spoiled and SHORTEST <= len(state.typed) <= LONGEST
    after = replace(state, typed="", spoiled=False)
    if number is None or not sound:
        return replace(after, refused=after.refused + 1)
    return replace(after, entries=(*after.entries, CardRead(number)))
