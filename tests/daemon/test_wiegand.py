"""Cards and keys by Wiegand and by USB: what is not certain is refused."""

from __future__ import annotations

import random
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facelatch.machines import strokes, wiegand
from facelatch.machines.strokes import Typing
from facelatch.machines.wiegand import Wiegand, decoded, encoded
from facelatch.values.readers import CardRead, Entry, Key, Pulse, Stroke, card_number

BIT_SECONDS = 0.002


def sent(frames: list[tuple[int, ...]], *, apart: float = 0.5, begin: float = 10.0) -> list[Pulse]:
    """The edges of frames as the kernel sees them, each with its number."""
    pulses, at, number = [], begin, 0
    for frame in frames:
        for bit in frame:
            number += 1
            pulses.append(Pulse(line=bit, at=at, number=number))
            at += BIT_SECONDS
        at += apart
    return pulses


def read(pulses: list[Pulse], turn_seconds: float = 0.05) -> tuple[list[Entry], int]:
    """What the machine makes of edges that are delivered turn by turn, and how many frames it refused."""
    state, entries, refused = Wiegand(), list[Entry](), 0
    left, now = deque(pulses), pulses[0].at if pulses else 0.0
    while left or state.bits:
        now += turn_seconds
        batch = []
        while left and left[0].at <= now:
            batch.append(left.popleft())
        state = wiegand.advance(state, batch, now)
        entries += state.entries
        refused += state.refused
    return entries, refused


@given(st.lists(st.tuples(st.sampled_from([26, 34]), st.integers(0, 2**32 - 1)), max_size=8))
def test_whole_frames_are_read_in_order(cards: list[tuple[int, int]]) -> None:
    """Of both lengths, whatever the number."""
    numbers = [(bits, number % 2 ** (bits - 2)) for bits, number in cards]
    entries, refused = read(sent([encoded(number, bits) for bits, number in numbers]))
    assert entries == [CardRead(str(number)) for _, number in numbers]
    assert refused == 0


@given(st.lists(st.tuples(st.integers(0, 11), st.booleans()), max_size=12))
def test_keys_of_four_and_of_eight_bits_are_read(keys: list[tuple[int, bool]]) -> None:
    frames = [((key ^ 0xF) << 4 | key, 8) if eight else (key, 4) for key, eight in keys]
    bits = [tuple(int(bit) for bit in format(value, f"0{length}b")) for value, length in frames]
    assert read(sent(bits)) == ([Key("0123456789*#"[key]) for key, _ in keys], 0)


@given(st.integers(0, 2**24 - 1), st.integers(0, 25))
def test_one_wrong_bit_is_refused(number: int, place: int) -> None:
    """Each half has a parity of its own."""
    frame = list(encoded(number, 26))
    frame[place] ^= 1
    assert decoded(frame) is None


@given(st.binary(max_size=40).map(lambda raw: tuple(byte & 1 for byte in raw)))
def test_any_bits_are_a_card_a_key_or_nothing(bits: tuple[int, ...]) -> None:
    entry = decoded(bits)
    assert entry is None or len(bits) in (4, 8, 26, 34)


@given(st.integers(0, 2**32 - 1), st.sets(st.integers(0, 33), min_size=1), st.sampled_from([26, 34]))
def test_a_frame_of_which_edges_were_lost_is_never_a_number(number: int, lost: set[int], bits: int) -> None:
    """Whatever is left of it, by its length and parities too: the numbers of the edges jump."""
    pulses = sent([encoded(number % 2 ** (bits - 2), bits), encoded(7, 26)])
    left = [pulse for place, pulse in enumerate(pulses) if place not in lost]
    entries, _ = read(left)
    kept_first = not any(place < bits for place in lost)
    assert set(entries) <= {CardRead("7")} | ({CardRead(str(number % 2 ** (bits - 2)))} if kept_first else set())


def test_edges_that_come_after_their_frame_was_judged_spoil_what_follows() -> None:
    """26 edges of a frame of 34 that the kernel hands over late must not become a card of their own."""
    frame = next(
        encoded(number, 34) for number in range(1000) if isinstance(decoded(encoded(number, 34)[8:]), CardRead)
    )
    first, rest = sent([frame])[:8], sent([frame])[8:]
    state = wiegand.advance(Wiegand(), first, first[-1].at + 0.2)
    state = wiegand.advance(state, rest, rest[-1].at + 0.2)
    assert (state.entries, state.refused) == ((), 1)


class Kernel:
    """The buffer of one request of both lines: what does not fit pushes the oldest out."""

    def __init__(self, size: int) -> None:
        self.waiting: deque[Pulse] = deque(maxlen=size)

    def take(self) -> list[Pulse]:
        taken = list(self.waiting)
        self.waiting.clear()
        return taken


@pytest.mark.parametrize(("buffer", "loss"), [(1024, 0.0), (1024, 0.002), (16, 0.0), (16, 0.01)])
def test_a_thousand_frames_with_a_reader_that_stalls_give_no_wrong_number(buffer: int, loss: float) -> None:
    """Every third turn comes 200 ms late; edges are lost by chance and by a small buffer. What is read was sent."""
    chance = random.Random(buffer + int(loss * 1000))
    cards = [(chance.choice([26, 34]), chance.getrandbits(32)) for _ in range(1000)]
    numbers = [number % 2 ** (bits - 2) for bits, number in cards]
    frames = [encoded(number, bits) for number, (bits, _) in zip(numbers, cards, strict=True)]
    left, kernel = deque(sent(frames, apart=0.15)), Kernel(buffer)
    state, read_cards, turn = Wiegand(), list[str](), 0
    now = 10.0
    while left or kernel.waiting or state.bits:
        turn += 1
        now += 0.2 if turn % 3 == 0 else 0.04
        while left and left[0].at <= now:
            pulse = left.popleft()
            if chance.random() >= loss:
                kernel.waiting.append(pulse)
        state = wiegand.advance(state, kernel.take(), now)
        read_cards += [entry.number for entry in state.entries if isinstance(entry, CardRead)]
        assert not any(isinstance(entry, Key) for entry in state.entries)
    remaining = iter(map(str, numbers))
    assert all(card in remaining for card in read_cards), "a number that was not sent, or not in this order"
    if (buffer, loss) == (1024, 0.0):
        assert len(read_cards) == 1000


any_pulse = st.builds(Pulse, st.integers(0, 1), st.floats(0, 1e6), st.integers(0, 2**32))


@given(st.lists(any_pulse, max_size=80), st.floats(0, 1e6))
def test_the_machine_takes_any_edges(pulses: list[Pulse], now: float) -> None:
    """Times that go back, numbers that jump, thousands of bits."""
    state = wiegand.advance(Wiegand(), pulses, now)
    assert len(state.bits) <= wiegand.MOST_BITS


# ---- Devices that type


def typed(text: str, device: str = "card", begin: float = 5.0, pace: float = 0.01) -> list[Stroke]:
    return [Stroke(device=device, symbol=symbol.strip(), at=begin + n * pace) for n, symbol in enumerate(text)]


def test_a_card_reader_types_a_number_and_enter() -> None:
    state = strokes.advance(Typing(), typed("0012345678#"))
    assert (state.entries, state.refused) == ((CardRead("12345678"),), 0)


def test_a_number_of_which_strokes_were_lost_is_refused_and_the_next_is_read() -> None:
    state = strokes.advance(Typing(), typed("00123 5678#") + typed("99887766#", begin=5.2))
    assert (state.entries, state.refused) == ((CardRead("99887766"),), 1)


def test_what_was_typed_long_before_is_no_part_of_a_number() -> None:
    state = strokes.advance(Typing(), typed("666") + typed("12345678#", begin=9.0))
    assert state.entries == (CardRead("12345678"),)


def test_a_keypad_gives_keys_and_a_loss_clears_what_was_typed() -> None:
    state = strokes.advance(Typing(), typed("12 #A", device="keypad"))
    assert state.entries == (Key("1"), Key("2"), Key("*"), Key("#"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0012345678", "12345678"),
        ("12,34567", str((12 << 16) + 34567)),
        ("256,1", None),
        ("1,65536", None),
        (",5", None),
        ("e0 04", None),
        ("e004AbC1", "E004ABC1"),
        ("", None),
        ("\u0661\u0662\u0663\u0664", None),
        ("9" * 41, None),
    ],
)
def test_a_card_has_one_number_however_it_is_written(text: str, expected: str | None) -> None:
    assert card_number(text) == expected
