"""Machine: falling edges on the two lines of a Wiegand reader -> cards and keys. What is not certain is refused.

| state   | input                                                   | next                                      |
|---------|---------------------------------------------------------|-------------------------------------------|
| quiet   | an edge                                                 | reading, one bit                          |
| reading | an edge within FRAME_GAP_SECONDS                        | reading, one bit more                     |
| reading | an edge later than that                                 | the frame is judged; reading, one bit     |
| reading | no edge for SILENCE_SECONDS                             | the frame is judged; quiet                |
| any     | edges were lost before this one (its number jumps)      | the frame before it and its own are spoiled |
| reading | an edge sooner than SHORTEST_SECONDS, or of earlier time | the frame is spoiled                     |
| quiet   | an edge that still belongs to the frame judged last     | its own frame is spoiled                  |
| judged  | spoiled, another length, wrong parity                   | refused, counted                          |
| judged  | 26 or 34 bits, both parities right                      | a card                                    |
| judged  | 4 bits, or 8 bits whose halves are each other's complement | a key                                  |

Length and parity alone are not enough: a fragment of 34 bits may pass for one of 26. The kernel numbers the edges of
both lines, so that every lost one shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from facelatch.values.readers import KEYS, CardRead, Entry, Key, Pulse

FRAME_GAP_SECONDS = 0.03
"""Readers send a bit every 0.2 to 20 ms."""
SILENCE_SECONDS = 0.1
"""With nothing new by then a frame is over; longer than an edge stays on its way through the kernel."""
SHORTEST_SECONDS = 0.00015
MOST_BITS = 64


@dataclass(frozen=True, slots=True)
class Wiegand:
    """The frame that is being read."""

    bits: tuple[int, ...] = field(default=(), repr=False)
    last: float | None = None
    """When the newest edge was, monotonic seconds; None: there was none yet."""
    number: int | None = None
    """Of the newest edge."""
    spoiled: bool = False
    entries: tuple[Entry, ...] = ()
    """What was read on this turn."""
    refused: int = 0
    """How many frames were thrown away on this turn."""


def advance(state: Wiegand, pulses: Sequence[Pulse], now: float) -> Wiegand:
    """The state after the edges of this turn, all that came before `now`."""
    state = replace(state, entries=(), refused=0)
    for pulse in pulses:
        state = _take(state, pulse)
    over = state.last is not None and now - state.last > SILENCE_SECONDS
    return _judge(state) if state.bits and over else state


def _take(state: Wiegand, pulse: Pulse) -> Wiegand:
    lost = state.number is not None and pulse.number != state.number + 1
    late = False
    if state.last is not None:
        since = pulse.at - state.last
        late = not state.bits and since <= FRAME_GAP_SECONDS
        if state.bits:
            state = replace(state, spoiled=state.spoiled or lost or 0 <= since < SHORTEST_SECONDS or since < 0)
            if not since <= FRAME_GAP_SECONDS:
                state = _judge(state)
    spoiled = state.spoiled or lost or late or len(state.bits) >= MOST_BITS
    bits = state.bits if len(state.bits) >= MOST_BITS else (*state.bits, pulse.line)
    return replace(state, bits=bits, last=pulse.at, number=pulse.number, spoiled=spoiled)


def _judge(state: Wiegand) -> Wiegand:
    entry = None if state.spoiled else decoded(state.bits)
    read = (*state.entries, entry) if entry is not None else state.entries
    return replace(state, bits=(), spoiled=False, entries=read, refused=state.refused + (entry is None))


def decoded(bits: Sequence[int]) -> Entry | None:
    """What a whole frame says; None: nothing that can be relied on."""
    value = int("".join(map(str, bits)) or "0", 2)
    match len(bits):
        case 26 | 34:
            half = len(bits) // 2
            if sum(bits[:half]) % 2 or not sum(bits[half:]) % 2:
                return None  # the first half is even, the second odd
            return CardRead(str((value >> 1) & ((1 << (len(bits) - 2)) - 1)))
        case 4:
            return Key(KEYS[value]) if value < len(KEYS) else None
        case 8:
            key = value & 0xF
            return Key(KEYS[key]) if value >> 4 == key ^ 0xF and key < len(KEYS) else None
    return None


def encoded(number: int, bits: int) -> tuple[int, ...]:
    """The frame of a card, 26 or 34 bits, as a reader sends it: for tests and simulations."""
    data = tuple(int(bit) for bit in format(number, f"0{bits - 2}b"))
    half = (bits - 2) // 2
    return (sum(data[:half]) % 2, *data, 1 - sum(data[half:]) % 2)
