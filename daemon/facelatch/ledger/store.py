"""The ledger's file: rows are added at its end, each bound to the one before. For one thread."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from facelatch.audit.chain import KEY_BYTES, Moment, Row, commitment, evolved, kept_fields, link, seal
from facelatch.audit.events import Event, EventKind
from facelatch.ledger import keyfile, tables
from facelatch.ledger.keyfile import KeyFile
from facelatch.private_files import create_private

DAY_MS = 86_400_000

GONE = (EventKind.PERSON_REMOVED, EventKind.ACCESS_EXPIRED)
"""Whoever one of these is about is in the gallery no more."""

Entry = tuple[Event, Moment]


class LedgerStore:
    """The ledger of one state directory, written by one process at a time."""

    def __init__(self, directory: Path, now: Moment) -> None:
        """Opens it, made when missing. Raises LedgerError: another process has it, damaged, read-only, disk full."""
        self._directory, self._path = directory, directory / tables.NAME
        self.begun = ""
        """Why a new start key was made at the opening; empty: none was."""
        self.cut = 0
        """How many rows at the end were missing at the opening."""
        with tables.explained(self._path):
            self._keys = KeyFile(directory)
            try:
                self._connection = _opened(self._path)
                try:
                    self._resume(now)
                except BaseException:
                    self._connection.close()
                    raise
            except BaseException:
                self._keys.close()
                raise

    def _resume(self, now: Moment) -> None:
        connection = self._connection
        last, base, epochs = tables.last_row(connection), tables.base(connection), tables.epochs(connection)
        self.seq = last.seq if last else base.seq
        """Of the last row."""
        self.hash = last.hash if last else base.hash
        """Of the last row: what vouches for all rows up to it."""
        self._tag = last.tag if last else base.tag
        key = self._keys.read()
        if key is not None:
            self.cut = max(0, key[0] - self.seq - 1)
            # What is missing at the end stays a gap in the numbers, for whoever looks for it.
            self.seq += self.cut
        if key is None or not epochs or key[0] < epochs[-1].first:
            self.begin(now, "the key was lost" if epochs else "the rows were lost" if key else "the first")
            return
        # A crash between a row and its key: the key catches up.
        self._key = evolved(key[1], self.seq + 1 - key[0])

    def begin(self, now: Moment, reason: str) -> None:
        """A new start key, kept until somebody has noted it. Raises LedgerError."""
        start = secrets.token_bytes(KEY_BYTES)
        with tables.explained(self._path):
            # Neither the old key nor none at all may cover rows of the new epoch, wherever a crash ends this.
            self._keys.erase()
            keyfile.keep_start_key(self._directory, start)
            with self._transaction():
                self._connection.execute(
                    "INSERT INTO epochs (first, commitment) VALUES (?, ?)", (self.seq + 1, commitment(start))
                )
                self._key = start
                state = self._added([(Event(EventKind.LEDGER_STARTED, {"REASON": reason}), now)])
            self._advance(*state)
        self.begun = reason

    def add(self, entries: Iterable[Entry]) -> None:
        """Adds rows, all or none. Raises LedgerError."""
        with tables.explained(self._path):
            with self._transaction():
                state = self._added(entries)
            self._advance(*state)

    def _added(self, entries: Iterable[Entry]) -> tuple[int, bytes, bytes, bytes]:
        """Number, hash and tag of the last row and the next key, once the caller has committed."""
        seq, digest, tag, key = self.seq, self.hash, self._tag, self._key
        rows = []
        for event, when in entries:
            seq += 1
            row = Row(
                seq=seq,
                wall_ms=when.wall_ms,
                trusted=when.trusted,
                mono_ms=when.mono_ms,
                boot=when.boot,
                kind=event.kind.value,
                fields=kept_fields(event),
            )
            record = row.record
            digest, tag = link(digest, record), seal(key, tag, record)
            key = evolved(key)
            rows.append(replace(row, hash=digest, tag=tag))
            self._note_consent(event, when)
        self._connection.executemany(
            "INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (r.seq, r.wall_ms, int(r.trusted), r.mono_ms, r.boot, r.kind, r.fields, r.hash, r.tag)
                for r in rows
            ],
        )
        return seq, digest, tag, key

    def _advance(self, seq: int, digest: bytes, tag: bytes, key: bytes) -> None:
        self.seq, self.hash, self._tag, self._key = seq, digest, tag, key
        # The rows are safe already; a key that could not be written is written with the next ones.
        with suppress(OSError):
            self._keys.write(seq + 1, key)

    def _note_consent(self, event: Event, when: Moment) -> None:
        person = event.fields.get("PERSON_ID")
        if event.kind is EventKind.CONSENT_RECORDED:
            self._connection.execute(
                "INSERT OR REPLACE INTO consents (person_id, wall_ms, how, version, uid) VALUES (?, ?, ?, ?, ?)",
                (person, when.wall_ms, event.fields["REASON"], event.fields["TEXT_VERSION"], event.fields.get("UID")),
            )
        elif event.kind in GONE:
            self._connection.execute("DELETE FROM consents WHERE person_id = ?", (person,))

    def prune(self, days: int, now: Moment) -> Event | None:
        """Removes rows older than so many days at the beginning, and adds one that says so; None: there are none.

        Goes by rows whose clock had been set only. Raises LedgerError.
        """
        before = now.wall_ms - days * DAY_MS
        with tables.explained(self._path):
            (young,) = self._connection.execute(
                "SELECT min(seq) FROM rows WHERE trusted = 1 AND wall_ms >= ?", (before,)
            ).fetchone()
            found = self._connection.execute(
                "SELECT seq, hash, tag FROM rows WHERE trusted = 1 AND wall_ms < ? AND seq < ?"
                " ORDER BY seq DESC LIMIT 1",
                (before, self.seq if young is None else young),
            ).fetchone()
            if not found:
                return None
            seq, digest, tag = found
            with self._transaction():
                count = self._connection.execute("DELETE FROM rows WHERE seq <= ?", (seq,)).rowcount
                self._connection.execute(
                    "INSERT OR REPLACE INTO base (id, seq, hash, tag) VALUES (1, ?, ?, ?)", (seq, digest, tag)
                )
                fields = {"COUNT": count, "DAYS": days, "SEQ": seq, "HASH": digest.hex()}
                event = Event(EventKind.LEDGER_PRUNED, fields)
                state = self._added([(event, now)])
            self._advance(*state)
        return event

    @property
    def connection(self) -> sqlite3.Connection:
        """For reading."""
        return self._connection

    @property
    def key_noted(self) -> bool:
        """Whether the start key is kept nowhere here any more."""
        return keyfile.is_noted(self._directory)

    def close(self) -> None:
        """Never raises."""
        with suppress(sqlite3.Error):
            self._connection.close()
        self._keys.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise


def _opened(path: Path) -> sqlite3.Connection:
    """A connection to the ledger, whose tables are there or made. Raises sqlite3.Error, LedgerError, OSError."""
    if not path.exists() or path.stat().st_size == 0:
        _create(path)
    with closing(tables.open_to_read(path)):  # whether it is one
        pass
    # The journal of this mode needs no file mapped into memory, on which a thread of the loop could wait for the disk.
    connection = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = TRUNCATE")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def _create(path: Path) -> None:
    """Under another name first, so that a crash leaves none or all."""
    draft = path.with_name(f"{path.name}.new")
    for leftover in (draft, draft.with_name(f"{draft.name}-journal"), path.with_name(f"{path.name}-journal")):
        leftover.unlink(missing_ok=True)
    os.close(create_private(draft))
    with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
        for statement in ("BEGIN", *tables.TABLES, "COMMIT"):
            connection.execute(statement)
    draft.rename(path)


def fields_of(row: Row) -> dict[str, str | int | float]:
    """A row's fields."""
    parsed: dict[str, str | int | float] = json.loads(row.fields)
    return parsed
