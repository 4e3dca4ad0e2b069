"""Looking at a ledger from outside, also while the daemon writes it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from facelatch.audit.chain import commitment
from facelatch.audit.proof import Report, verify
from facelatch.ledger import keyfile, tables

TRIES = 5
"""Rows may be removed for their age meanwhile; then it begins again."""


def verified(path: Path, start_key: bytes | None, anchors: Sequence[tuple[int, bytes]]) -> tuple[Report, bool]:
    """What the rows in `path` prove, and whether `start_key` is one of its start keys. Raises LedgerError."""
    with closing(tables.open_to_read(path)) as connection, tables.explained(path):
        for _ in range(TRIES):
            next_seq = keyfile.next_row(path.parent) if path.name == tables.NAME else None  # before the rows
            base, epochs = tables.base(connection), tables.epochs(connection)
            report = verify(
                tables.all_rows(connection),
                base,
                epochs,
                start_keys=() if start_key is None else (start_key,),
                anchors=anchors,
                next_seq=next_seq,
            )
            if tables.base(connection) == base:
                break
        known = start_key is not None and commitment(start_key) in {epoch.commitment for epoch in epochs}
        return report, known


def state(path: Path) -> dict[str, Any]:
    """How a ledger stands. Raises LedgerError."""
    with closing(tables.open_to_read(path)) as connection, tables.explained(path):
        base, last = tables.base(connection), tables.last_row(connection)
        return {
            "first": base.seq + 1,
            "last": last.seq if last else base.seq,
            "hash": (last.hash if last else base.hash).hex(),
            "bytes": path.stat().st_size,
            "key_noted": keyfile.is_noted(path.parent),
        }
