"""What can be proven of the ledger's rows when somebody may have changed them."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from facelatch.audit.chain import NOTHING, Base, Epoch, Row, commitment, evolved, link, seal
from facelatch.audit.events import EventKind


@dataclass(frozen=True, slots=True)
class Fault:
    """A row that is not as it was written."""

    seq: int
    what: str
    """A sentence."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was proven."""

    first: int
    last: int
    """The rows there are; none when last < first."""
    findings: tuple[Fault, ...]
    """In order; the first is the first row that is not as it was written."""
    pruned_up_to: int
    """Rows up to this one were removed for their age, and a row says so; 0: none."""
    anchored_up_to: int
    """Rows up to this one are what they were when the last matching anchor was taken; 0: no anchor matches."""
    keyed: tuple[tuple[int, int], ...]
    """Ranges that a start key proves, first and last row."""
    other_keys: tuple[tuple[int, int], ...]
    """Ranges of whose start key none was given."""


@dataclass(slots=True)
class _Walk:
    """Where a verification stands."""

    base: Base
    epochs: Sequence[Epoch]
    keys: Mapping[bytes, bytes]
    """Start keys by their commitment."""
    anchors: Mapping[int, frozenset[bytes]]
    seq: int = 0
    hash: bytes = NOTHING
    tag: bytes = b""
    key: bytes | None = None
    mono: tuple[str, int] = ("", 0)
    findings: list[Fault] = field(default_factory=list)
    pruned: tuple[int, str] = (0, "")
    anchored: int = 0

    def fault(self, seq: int, what: str) -> None:
        self.findings.append(Fault(seq=seq, what=what))


MOST_FINDINGS = 20


def verify(
    rows: Iterable[Row],
    base: Base,
    epochs: Sequence[Epoch],
    *,
    start_keys: Sequence[bytes] = (),
    anchors: Iterable[tuple[int, bytes]] = (),
    next_seq: int | None = None,
) -> Report:
    """Follows the chain over `rows`, in order of `seq`, and says what it proves.

    `anchors` are numbers of rows with their hashes, kept elsewhere; `next_seq` is the row that the daemon's key is for.
    After a finding it goes on with what the rows say themselves, at most `MOST_FINDINGS` times.
    """
    known: dict[int, set[bytes]] = {}
    for seq, digest in anchors:
        known.setdefault(seq, set()).add(digest)
    walk = _Walk(
        base=base,
        epochs=sorted(epochs, key=lambda epoch: epoch.first),
        keys={commitment(key): key for key in start_keys},
        anchors={seq: frozenset(hashes) for seq, hashes in known.items()},
        seq=base.seq,
        hash=base.hash,
        tag=base.tag,
    )
    _check_anchor(walk)
    _enter_epoch(walk, base.seq + 1)
    for row in rows:
        _step(walk, row)
        if len(walk.findings) >= MOST_FINDINGS:
            break
    else:
        _end(walk, next_seq)
    return _report(walk)


def _step(walk: _Walk, row: Row) -> None:
    if row.seq != walk.seq + 1:
        walk.fault(walk.seq + 1, _missing(walk.seq + 1, row.seq - 1))
        _enter_epoch(walk, row.seq)
    elif any(epoch.first == row.seq for epoch in walk.epochs):
        _enter_epoch(walk, row.seq)
    record, follows = row.record, row.seq == walk.seq + 1
    sound = not follows or link(walk.hash, record) == row.hash
    if not sound:
        backwards = row.boot == walk.mono[0] and row.mono_ms < walk.mono[1]
        what = "in the wrong place" if backwards else "altered or in the wrong place"
        walk.fault(row.seq, f"row {row.seq} is {what}")
    if walk.key is not None:
        if follows and sound and not hmac.compare_digest(seal(walk.key, walk.tag, record), row.tag):
            walk.fault(row.seq, f"row {row.seq} was made anew by somebody without its key")
        walk.key = evolved(walk.key)
    walk.seq, walk.hash, walk.tag, walk.mono = row.seq, row.hash, row.tag, (row.boot, row.mono_ms)
    if row.kind == EventKind.LEDGER_PRUNED and sound:
        told = json.loads(row.fields)
        walk.pruned = (int(told.get("SEQ", 0)), str(told.get("HASH", "")))
    _check_anchor(walk)


def _missing(first: int, last: int) -> str:
    return f"row {first} is missing" if first == last else f"rows {first} to {last} are missing"


def _check_anchor(walk: _Walk) -> None:
    hashes = walk.anchors.get(walk.seq)
    if not hashes:
        return
    if hashes == {walk.hash}:
        walk.anchored = walk.seq if not walk.findings else walk.anchored
    else:
        walk.fault(walk.seq, f"row {walk.seq} is not the one that was anchored: it or one before it was made anew")


def _enter_epoch(walk: _Walk, seq: int) -> None:
    """Takes the key of row `seq`, where its epoch's start key was given."""
    of = [epoch for epoch in walk.epochs if epoch.first <= seq]
    start = walk.keys.get(of[-1].commitment) if of else None
    walk.key = evolved(start, seq - of[-1].first) if start is not None else None


def _end(walk: _Walk, next_seq: int | None) -> None:
    """What is missing at either end."""
    beyond = max((seq for seq in walk.anchors if seq > walk.seq), default=0)
    if beyond:
        walk.fault(walk.seq + 1, f"{_missing(walk.seq + 1, beyond)}: the end is cut off, row {beyond} was anchored")
    elif next_seq is not None and next_seq > walk.seq + 1:
        walk.fault(
            walk.seq + 1, f"{_missing(walk.seq + 1, next_seq - 1)}: the end is cut off, the daemon's key is beyond it"
        )
    if walk.base.seq and walk.pruned != (walk.base.seq, walk.base.hash.hex()):
        walk.findings.insert(
            0, Fault(seq=1, what=f"{_missing(1, walk.base.seq)}: no row says that they were removed for their age")
        )


def _report(walk: _Walk) -> Report:
    first_bad = walk.findings[0].seq if walk.findings else walk.seq + 1
    keyed, other = [], []
    for first, last, of in _ranges(walk):
        if of not in walk.keys:
            other.append((first, last))
        elif first < first_bad:
            keyed.append((first, min(last, first_bad - 1)))
    pruned = walk.base.seq if walk.base.seq and walk.pruned[0] == walk.base.seq else 0
    return Report(
        first=walk.base.seq + 1,
        last=walk.seq,
        findings=tuple(walk.findings),
        pruned_up_to=pruned,
        anchored_up_to=walk.anchored,
        keyed=tuple(keyed),
        other_keys=tuple(other),
    )


def _ranges(walk: _Walk) -> Iterator[tuple[int, int, bytes]]:
    """The rows that are there, by epoch: first, last, commitment."""
    ends = [*(epoch.first - 1 for epoch in walk.epochs[1:]), walk.seq]
    for epoch, last in zip(walk.epochs, ends, strict=False):
        first = max(epoch.first, walk.base.seq + 1)
        if first <= last:
            yield first, last, epoch.commitment


_ANCHOR = re.compile(r"(?i)\bseq\W+(\d+)\b.*?\bhash\W+([0-9a-f]{64})\b|\b(\d+)[\s:]+([0-9a-f]{64})\b")


def anchors_in(text: str) -> list[tuple[int, bytes]]:
    """The anchors in what was kept of them: `journalctl EVENT=ledger.anchor` in any format, `facelatch status`, or
    lines of a number and a hash."""
    found = []
    for line in text.splitlines():
        for one in _ANCHOR.finditer(_json_in_order(line)):
            found.append((int(one[1] or one[3]), bytes.fromhex(one[2] or one[4])))
    return found


def _json_in_order(line: str) -> str:
    """The journal's JSON has its fields in any order."""
    try:
        parsed = json.loads(line)
    except ValueError:
        return line
    if not isinstance(parsed, dict):
        return line
    told = parsed.get("ledger", parsed)
    if not isinstance(told, dict):
        return line
    lower = {key.lower(): value for key, value in told.items()}
    return f"seq {lower['seq']} hash {lower['hash']}" if {"seq", "hash"} <= lower.keys() else line
