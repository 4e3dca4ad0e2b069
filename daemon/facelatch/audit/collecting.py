"""What a collector makes of the rows that a door sends: which of them are new, and where the chain is broken.

A door sends batches: its rows after a number, in order, as many as fit. The collector follows the plain links only (the
keyed ones need the start key), from the last row that it took. A row that it has already is passed over; so a batch may
come twice, late, or after a collector forgot its last ones, and nothing is lost or doubled. What does not follow is
taken all the same, beside what was told before, and a sentence says so: a collector that refused it would be blind from
then on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from facelatch.audit.chain import HASH_BYTES, NOTHING, TAG_BYTES, Row, link

MOST_ROWS = 250
"""Of one batch."""

MOST_TEXT = 8192
"""Characters of one row's fields."""

MOST_NAMES = MOST_ROWS

LATEST_MS = 4_102_444_800_000
"""The year 2100: no door has a later clock, and much later ones no calendar shows."""

_INTEGER = 2**63


@dataclass(frozen=True, slots=True)
class Head:
    """The last row that was taken of a door, and what vouches for all up to it."""

    seq: int = 0
    hash: bytes = NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The rows of a door after row `after`, none between left out."""

    after: int
    before: bytes | None
    """The hash of row `after` at the door; None: it has none."""
    last: int
    """The last row that the door has."""
    base: Head
    """What the first row that the door has follows upon: rows up to it were removed for their age."""
    rows: tuple[Row, ...]
    names: Mapping[int, str] = field(default_factory=dict)
    """Of those whom the rows are about, by their number at that door; empty where names stay on the device."""

    @property
    def end(self) -> int:
        """The number up to which the door has told everything with this batch."""
        return self.rows[-1].seq if self.rows else self.after


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What becomes of a batch."""

    rows: tuple[Row, ...]
    """To be added; the others were there."""
    head: Head
    findings: tuple[str, ...]
    """What is wrong with the door's log, in sentences."""


def wire(row: Row) -> list[Any]:
    """A row as it travels; JSON."""
    plain = [row.seq, row.wall_ms, int(row.trusted), row.mono_ms, row.boot, row.kind, row.fields]
    return [*plain, row.hash.hex(), row.tag.hex()]


def fitting(rows: Sequence[Row], most_bytes: int) -> list[Row]:
    """The first of `rows`, as many as travel in so many bytes; one at least."""
    fit: list[Row] = []
    for row in rows:
        most_bytes -= len(json.dumps(wire(row)))
        if fit and most_bytes < 0:
            break
        fit.append(row)
    return fit


def batch_of(message: Mapping[str, Any]) -> Batch:
    """A batch as it travels, with every part of it looked at. Raises ValueError: it is none."""
    try:
        rows, names, base = message["rows"], message.get("names", {}), message["base"]
        if len(rows) > MOST_ROWS or len(names) > MOST_NAMES:
            raise ValueError("too many rows or names")
        batch = Batch(
            after=_number(message["after"]),
            before=None if message["before"] is None else _bytes(message["before"], HASH_BYTES),
            last=_number(message["last"]),
            base=Head(_number(base[0]), _bytes(base[1], HASH_BYTES)),
            rows=tuple(map(_row, rows)),
            names={_number(int(number)): _text(name, 256) for number, name in names.items()},
        )
    except (AttributeError, KeyError, IndexError, TypeError) as error:
        raise ValueError(f"not a batch of rows: {type(error).__name__}") from error
    numbers = [batch.after, *(row.seq for row in batch.rows)]
    if any(one >= another for one, another in pairwise(numbers)):
        raise ValueError("rows out of order")
    return batch


def _row(parts: Sequence[Any]) -> Row:
    seq, wall_ms, trusted, mono_ms, boot, kind, fields, digest, tag = parts
    return Row(
        seq=_number(seq),
        wall_ms=_number(wall_ms, LATEST_MS),
        trusted=bool(_number(trusted)),
        mono_ms=_number(mono_ms),
        boot=_text(boot, 64),
        kind=_text(kind, 64),
        fields=_fields(fields),
        hash=_bytes(digest, HASH_BYTES),
        tag=_bytes(tag, TAG_BYTES),
    )


def _fields(value: Any) -> str:
    """Fields as `chain.kept_fields` writes them: a file with an index over them takes no others."""
    text = _text(value, MOST_TEXT)
    try:
        found = json.loads(text, object_pairs_hook=_flat, parse_constant=_flat)
    except RecursionError:
        found = None
    if not isinstance(found, dict):
        raise ValueError("not the fields of a row")
    if "PERSON_ID" in found:
        _number(found["PERSON_ID"])
    return text


def _flat(found: list[tuple[str, Any]] | str) -> dict[str, Any]:
    if isinstance(found, str) or any(isinstance(value, dict | list) for _, value in found):
        raise ValueError("not the fields of a row")
    return dict(found)


def _number(value: Any, end: int = _INTEGER) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < end:
        raise ValueError("not a number of a row")
    return value


def _text(value: Any, most: int) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise ValueError("not text, or too long")
    value.encode()  # JSON can tell half a character, which no file takes
    return value


def _bytes(value: Any, count: int) -> bytes:
    found = bytes.fromhex(value)
    if len(found) != count:
        raise ValueError("a link of the wrong length")
    return found


def take(head: Head, batch: Batch, known: Mapping[int, Set[bytes]], kept_from_ms: int = 0) -> Taken | int:
    """What to add of `batch`, upon what is there; or the row after which the door must begin instead.

    `known` has the hashes of the rows there are with the numbers in `batch`, by number. Rows from before
    `kept_from_ms`, which are removed for their age, are passed over like those that are there.
    """
    if batch.after > head.seq:
        return head.seq
    if batch.after == head.seq and batch.before not in (None, head.hash):
        return 0  # what the door has before this is not what it told: it shall tell from where on
    walk = _Walk(expected=batch.after + 1, previous=_before(head, batch, known), kept_from_ms=kept_from_ms)
    if batch.last < head.seq:
        gone = _rows(batch.last + 1, head.seq)
        walk.findings.append(f"{gone}, told before, are gone at the door: the end of its log was cut off")
    for row in batch.rows:
        _step(walk, row, head, batch, known)
    return Taken(rows=tuple(walk.new), head=walk.head or head, findings=tuple(walk.findings))


@dataclass(slots=True)
class _Walk:
    expected: int
    previous: Set[bytes]
    """Which hashes the row before may have; empty: it is not known."""
    kept_from_ms: int
    new: list[Row] = field(default_factory=list)
    head: Head | None = None
    findings: list[str] = field(default_factory=list)
    made_anew: bool = False


def _before(head: Head, batch: Batch, known: Mapping[int, Set[bytes]]) -> Set[bytes]:
    if batch.after == head.seq:
        return {head.hash}
    return {NOTHING} if batch.after == 0 else known.get(batch.after, frozenset())


def _step(walk: _Walk, row: Row, head: Head, batch: Batch, known: Mapping[int, Set[bytes]]) -> None:
    there = row.hash in known.get(row.seq, ()) or (row.trusted and row.wall_ms < walk.kept_from_ms)
    if row.seq != walk.expected:
        pruned = batch.base.seq >= walk.expected
        if pruned and row.seq == batch.base.seq + 1:
            walk.previous = {batch.base.hash}
            if batch.base.hash not in known.get(batch.base.seq, walk.previous):
                what = f"row {batch.base.seq}, removed at the door for its age, was not the one told before"
                walk.findings.append(what)
        else:
            walk.previous = frozenset()  # what it follows upon is what is missing
        # Where nothing was told yet, what was removed for its age is no loss to the log.
        if row.seq > head.seq + 1 and not there and (head.seq or not pruned):
            first = max(walk.expected, head.seq + 1)
            why = "removed for their age before they were told" if pruned else "missing at the door"
            walk.findings.append(f"{_rows(first, row.seq - 1)} never came: {why}")
    if not there:
        if walk.previous and row.hash not in {link(one, row.record) for one in walk.previous}:
            walk.findings.append(
                f"row {row.seq} does not follow upon the one before: it was altered, or rows before it were"
                " altered, cut off or made anew"
            )
        if row.seq <= head.seq and not walk.made_anew:
            walk.made_anew = True
            walk.findings.append(
                f"row {row.seq} is another one than was told before: the door's log was made anew from there on"
                f" (before, it went to seq {head.seq} hash {head.hash.hex()})"
            )
        walk.new.append(row)
    if not there or row.seq >= head.seq:
        walk.head = Head(row.seq, row.hash)
    walk.previous, walk.expected = {row.hash}, row.seq + 1


def _rows(first: int, last: int) -> str:
    return f"rows {first} to {last}"
