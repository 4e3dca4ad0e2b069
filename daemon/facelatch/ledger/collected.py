"""The collector's file: the rows of every door, as they came. For one thread at a time; others may read beside it."""

from __future__ import annotations

import os
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facelatch.audit.chain import Row
from facelatch.audit.collecting import Batch, Head, take
from facelatch.errors import InputError, LedgerError
from facelatch.ledger import tables
from facelatch.ledger.store import DAY_MS, GONE, fields_of
from facelatch.ledger.tables import COLUMNS, Query
from facelatch.private_files import create_private

APPLICATION_ID = 0x466C436F
"""Marks the file as a collector's: "FlCo" in ASCII."""

VERSION = 1

MOST_DOORS = 1_000
MOST_FINDINGS = 200
"""Of one door; whoever sends more of them has said enough."""

TABLES = (
    "CREATE TABLE doors (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, seq INTEGER NOT NULL, hash BLOB NOT NULL,"
    " heard_ms INTEGER NOT NULL) STRICT",
    # A number may stand twice, with two hashes: when a door's log was made anew, both are kept.
    """CREATE TABLE rows (
        door INTEGER NOT NULL, seq INTEGER NOT NULL, wall_ms INTEGER NOT NULL, trusted INTEGER NOT NULL,
        mono_ms INTEGER NOT NULL, boot TEXT NOT NULL, kind TEXT NOT NULL, fields TEXT NOT NULL, hash BLOB NOT NULL,
        tag BLOB NOT NULL, PRIMARY KEY (door, seq, hash)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX rows_in_time ON rows (wall_ms)",
    "CREATE INDEX rows_of_person ON rows (json_extract(fields, '$.PERSON_ID'))"
    " WHERE json_extract(fields, '$.PERSON_ID') IS NOT NULL",
    "CREATE TABLE names (door INTEGER NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL,"
    " PRIMARY KEY (door, number)) STRICT, WITHOUT ROWID",
    "CREATE TABLE findings (door INTEGER NOT NULL, wall_ms INTEGER NOT NULL, what TEXT NOT NULL, UNIQUE (door, what))"
    " STRICT",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the door is told, and people."""

    seq: int
    """Up to which row all is on the disk; where the batch was not taken, the row after which the door shall begin."""
    taken: bool
    findings: tuple[str, ...] = ()
    """Those that were not known."""


class Collected:
    """Writes what doors send."""

    def __init__(self, path: Path, days: int = 0) -> None:
        """Opens the file, made when missing; rows are kept for so many days (0: for good). Raises LedgerError."""
        self._path, self._days = path, days
        with tables.explained(path):
            if not path.exists():
                os.close(create_private(path))
            self._connection = sqlite3.connect(path, timeout=10.0, isolation_level=None, check_same_thread=False)
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self) -> None:
        connection = self._connection
        connection.execute("PRAGMA journal_mode = WAL")
        # What a door was told to be taken must survive a power cut.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
        if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,):
            for statement in ("BEGIN", *TABLES, "COMMIT"):
                connection.execute(statement)
        _is_ours(self._path, connection)

    def head(self, door: str) -> Head:
        """The last row taken of a door. Raises LedgerError."""
        with tables.explained(self._path):
            return _door(self._connection, door)[1]

    def take(self, door: str, batch: Batch, now_ms: int) -> Outcome:
        """Adds what is new of a batch, all or nothing. Raises LedgerError; InputError for one door too many."""
        with tables.explained(self._path), self._transaction() as connection:
            number, head = _door(connection, door)
            taken = take(head, batch, _known(connection, number, batch), self._kept_from(now_ms))
            if isinstance(taken, int):
                return Outcome(seq=taken, taken=False)
            if number is None:
                number = _new_door(connection, door)
            connection.executemany(
                f"INSERT INTO rows (door, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(number, *_columns(row)) for row in taken.rows],
            )
            connection.execute(
                "UPDATE doors SET seq = ?, hash = ?, heard_ms = ? WHERE id = ?",
                (taken.head.seq, taken.head.hash, now_ms, number),
            )
            self._name(number, batch)
            findings = tuple(one for one in taken.findings if self._find(number, one, now_ms))
        return Outcome(seq=batch.end, taken=True, findings=findings)

    def _name(self, door: int, batch: Batch) -> None:
        """Whoever is removed at the door has no name here either."""
        self._connection.executemany(
            "INSERT OR REPLACE INTO names VALUES (?, ?, ?)",
            [(door, number, name) for number, name in batch.names.items()],
        )
        gone = {kind.value for kind in GONE}
        removed = [(door, fields_of(row).get("PERSON_ID")) for row in batch.rows if row.kind in gone]
        self._connection.executemany("DELETE FROM names WHERE door = ? AND number = ?", removed)

    def _find(self, door: int, what: str, now_ms: int) -> bool:
        (count,) = self._connection.execute("SELECT count(*) FROM findings WHERE door = ?", (door,)).fetchone()
        if count >= MOST_FINDINGS:
            return False
        added = self._connection.execute("INSERT OR IGNORE INTO findings VALUES (?, ?, ?)", (door, now_ms, what))
        return added.rowcount == 1

    def prune(self, now_ms: int) -> int:
        """Removes rows and findings for their age; returns how many rows. Raises LedgerError."""
        before = self._kept_from(now_ms)
        with tables.explained(self._path), self._transaction() as connection:
            connection.execute("DELETE FROM findings WHERE wall_ms < ?", (before,))
            return connection.execute("DELETE FROM rows WHERE wall_ms < ? AND trusted = 1", (before,)).rowcount

    def _kept_from(self, now_ms: int) -> int:
        return now_ms - self._days * DAY_MS if self._days else 0

    def close(self) -> None:
        """Never raises."""
        with suppress(sqlite3.Error):
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise


def _door(connection: sqlite3.Connection, name: str) -> tuple[int | None, Head]:
    found = connection.execute("SELECT id, seq, hash FROM doors WHERE name = ?", (name,)).fetchone()
    return (found[0], Head(found[1], found[2])) if found else (None, Head())


def _new_door(connection: sqlite3.Connection, name: str) -> int:
    (count,) = connection.execute("SELECT count(*) FROM doors").fetchone()
    if count >= MOST_DOORS:
        raise InputError(f"{name}: there are {MOST_DOORS} doors already", hint="a second broker and collector")
    made = connection.execute("INSERT INTO doors (name, seq, hash, heard_ms) VALUES (?, 0, x'', 0)", (name,))
    assert made.lastrowid is not None
    return made.lastrowid


def _known(connection: sqlite3.Connection, door: int | None, batch: Batch) -> Mapping[int, set[bytes]]:
    known: dict[int, set[bytes]] = defaultdict(set)
    # Each by its number: between the first and the last may lie whatever the collector has of years.
    numbers = {batch.after, batch.base.seq, *(row.seq for row in batch.rows)}
    for seq, digest in connection.execute(
        f"SELECT seq, hash FROM rows WHERE door = ? AND seq IN ({','.join('?' * len(numbers))})", (door, *numbers)
    ):
        known[seq].add(digest)
    return known


def _columns(row: Row) -> tuple[Any, ...]:
    return (
        row.seq, row.wall_ms, int(row.trusted), row.mono_ms, row.boot, row.kind, row.fields, row.hash, row.tag,
    )  # fmt: skip


def _is_ours(path: Path, connection: sqlite3.Connection) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID or version != VERSION:
        raise LedgerError(f"{path}: not a collector's file of this version", hint="which Facelatch has written it?")


# ---- For whoever reads


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a collector's file that changes nothing in it. Raises LedgerError."""
    with tables.explained(path):
        if not path.exists():
            raise LedgerError(f"{path}: there is no such file", hint="`facelatch fleet collect` makes it")
        with closing(sqlite3.connect(path, timeout=10.0)) as connection:
            connection.execute("PRAGMA query_only = ON")
            _is_ours(path, connection)
            yield connection


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectedDoor:
    """How the log of one door stands here."""

    id: int
    name: str
    rows: int
    head: Head
    """An anchor: what vouches for all rows of that door up to it."""
    heard_ms: int
    findings: tuple[str, ...]


def doors(connection: sqlite3.Connection) -> list[CollectedDoor]:
    """Every door, by name."""
    found = connection.execute(
        "SELECT id, name, (SELECT count(*) FROM rows WHERE door = id), seq, hash, heard_ms FROM doors ORDER BY name"
    ).fetchall()
    return [
        CollectedDoor(
            id=number, name=name, rows=rows, head=Head(seq, digest), heard_ms=heard_ms,
            findings=tuple(_findings(connection, number)),
        )
        for number, name, rows, seq, digest, heard_ms in found
    ]  # fmt: skip


def _findings(connection: sqlite3.Connection, door: int) -> Iterable[str]:
    for (what,) in connection.execute("SELECT what FROM findings WHERE door = ? ORDER BY rowid", (door,)):
        yield what


def numbers_of(connection: sqlite3.Connection, name: str) -> dict[int, int]:
    """By door, the number of whoever is called so there. Upper and lower case of ASCII make no difference."""
    found = connection.execute("SELECT door, number FROM names WHERE name = ? COLLATE NOCASE", (name,))
    return dict(found.fetchall())


def names(connection: sqlite3.Connection) -> dict[int, dict[int, str]]:
    """Of all doors: by door, then by number."""
    found: dict[int, dict[int, str]] = defaultdict(dict)
    for door, number, name in connection.execute("SELECT door, number, name FROM names"):
        found[door][number] = name
    return found


def selected(
    connection: sqlite3.Connection, query: Query, *, door: int | None = None, people: Mapping[int, int] | None = None
) -> Iterator[tuple[int, Row]]:
    """The rows of a query, the newest first, each with its door.

    With `door` only of that one, with `people` only those about one person, whose number differs from door to door.
    """
    more = [f"door = {door:d}"] if door is not None else []
    if people is not None:
        pairs = ", ".join(f"({at:d}, {number:d})" for at, number in people.items())
        more.append(f"(door, json_extract(fields, '$.PERSON_ID')) IN (VALUES {pairs})" if pairs else "0")
    condition, values = tables.where(query, *more)
    found = connection.execute(
        f"SELECT door, {COLUMNS} FROM rows{condition} ORDER BY wall_ms DESC, door, seq DESC LIMIT ?",
        [*values, query.most],
    )
    for at, *columns in found:
        yield at, tables.row_of(tuple(columns))
