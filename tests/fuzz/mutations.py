"""From whole inputs to broken ones: the changes that parsers stumble over, repeatable by their seed."""

from __future__ import annotations

import random
import re
import struct
import zlib
from collections.abc import Callable, Sequence

NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
LARGEST_BYTES = 1_000_000


def mutated(data: bytes, rng: random.Random, words: Sequence[bytes] = (), others: Sequence[bytes] = ()) -> bytes:
    """`data` with one to a few changes. `words` are put in here and there, parts of `others` likewise."""
    made = bytearray(data)
    for _ in range(1 << rng.randrange(5)):
        rng.choice(_CHANGES)(made, rng, words, others)
    return bytes(made[:LARGEST_BYTES])


Change = Callable[[bytearray, random.Random, Sequence[bytes], Sequence[bytes]], None]


def _place(data: bytearray, rng: random.Random) -> int:
    """Half of all changes hit the head, where formats keep what they promise."""
    return rng.randrange(min(len(data), 64) if rng.random() < 0.5 else len(data)) if data else 0


def _flip(data: bytearray, rng: random.Random, *_: object) -> None:
    if data:
        data[_place(data, rng)] ^= 1 << rng.randrange(8)


def _byte(data: bytearray, rng: random.Random, *_: object) -> None:
    if data:
        data[_place(data, rng)] = rng.randrange(256)


def _number(data: bytearray, rng: random.Random, *_: object) -> None:
    at, order = _place(data, rng), rng.choice("<>")
    form = rng.choice("BHI")
    number = rng.choice(NUMBERS) & (1 << 8 * struct.calcsize(form)) - 1
    data[at : at + struct.calcsize(form)] = struct.pack(order + form, number)


def _digits(data: bytearray, rng: random.Random, *_: object) -> None:
    """A number written in decimal becomes another."""
    found = list(re.finditer(rb"-?\d+", data))
    if found:
        hit = rng.choice(found)
        data[hit.start() : hit.end()] = rng.choice([b"0", b"-1", b"1e999", b"9" * 400, b"1.5", b"NaN", b'"7"'])


def _cut(data: bytearray, rng: random.Random, *_: object) -> None:
    del data[_place(data, rng) :]


def _remove(data: bytearray, rng: random.Random, *_: object) -> None:
    at = _place(data, rng)
    del data[at : at + 1 + rng.randrange(64)]


def _repeat(data: bytearray, rng: random.Random, *_: object) -> None:
    at, size = _place(data, rng), 1 + rng.randrange(64)
    data[at:at] = data[at : at + size] * (1 << rng.randrange(6))


def _word(data: bytearray, rng: random.Random, words: Sequence[bytes], _others: Sequence[bytes]) -> None:
    if words:
        at = _place(data, rng)
        data[at : at + rng.choice([0, 4])] = rng.choice(words)


def _splice(data: bytearray, rng: random.Random, _words: Sequence[bytes], others: Sequence[bytes]) -> None:
    if others:
        other = rng.choice(others)
        begin = rng.randrange(len(other) + 1)
        at = _place(data, rng)
        data[at:at] = other[begin : begin + rng.randrange(1, 4096)]


_CHANGES: tuple[Change, ...] = (_flip, _byte, _number, _digits, _cut, _remove, _repeat, _word, _splice)


def mutated_png(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """A PNG whose chunks are changed, doubled, swapped or new, all with checksums that fit: they get past the first
    look.
    """
    chunks = _chunks(data)
    for _ in range(1 + rng.randrange(3)):
        number = rng.randrange(len(chunks)) if chunks else 0
        match rng.randrange(4):
            case 0 if chunks:
                kind, body = chunks[number]
                chunks[number] = kind, mutated(body, rng, (), others)
            case 1 if chunks:
                chunks.insert(rng.randrange(len(chunks)), chunks[number])
            case 2 if len(chunks) > 1:
                del chunks[number]
            case _:
                kind = rng.choice([b"acTL", b"fcTL", b"fdAT", b"PLTE", b"tRNS", b"iCCP", b"eXIf", b"zTXt", b"IDAT"])
                chunks.insert(number, (kind, rng.randbytes(rng.choice([0, 1, 4, 8, 26, 100]))))
    return data[:8] + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    chunks, at = [], 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return chunks
