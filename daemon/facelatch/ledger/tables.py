"""The ledger's tables, and reading from them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from facelatch.audit.chain import Base, Epoch, Row
from facelatch.audit.events import EventKind
from facelatch.errors import LedgerError

NAME = "ledger.sqlite"

APPLICATION_ID = 0x466C4C67
"""Marks the file as ours: "FlLg" in ASCII."""

VERSION = 1

CHUNK = 5_000
"""Rows that a verification reads at a time; the daemon writes in between."""

TABLES = (
    """CREATE TABLE rows (
        seq INTEGER PRIMARY KEY, wall_ms INTEGER NOT NULL, trusted INTEGER NOT NULL, mono_ms INTEGER NOT NULL,
        boot TEXT NOT NULL, kind TEXT NOT NULL, fields TEXT NOT NULL, hash BLOB NOT NULL, tag BLOB NOT NULL
    ) STRICT""",
    # Of an expression: a column of its own could be changed apart from the fields, which the chain covers.
    "CREATE INDEX rows_of_person ON rows (json_extract(fields, '$.PERSON_ID'))"
    " WHERE json_extract(fields, '$.PERSON_ID') IS NOT NULL",
    "CREATE INDEX rows_of_kind ON rows (kind)",
    "CREATE INDEX rows_in_time ON rows (wall_ms)",
    "CREATE TABLE epochs (first INTEGER PRIMARY KEY, commitment BLOB NOT NULL) STRICT",
    # What the first row kept follows upon, once rows before it were removed for their age.
    "CREATE TABLE base (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, hash BLOB NOT NULL,"
    " tag BLOB NOT NULL) STRICT",
    # Not in the chain: it goes with the person.
    "CREATE TABLE consents (person_id INTEGER PRIMARY KEY, wall_ms INTEGER NOT NULL, how TEXT NOT NULL,"
    " version TEXT NOT NULL, uid INTEGER) STRICT",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)

COLUMNS = "seq, wall_ms, trusted, mono_ms, boot, kind, fields, hash, tag"
"""As `row_of` takes them."""

REFUSALS = tuple(
    kind.value
    for kind in EventKind
    if kind.value.endswith((".refused", ".turned_away", ".abandoned", ".lockout_started"))
)
"""Kinds that say why somebody did not come in, or was not answered."""

DISCREET = tuple(kind.value for kind in EventKind if kind.spec.discreet)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns what SQLite and the system raise inside into a LedgerError about `path`."""
    hint = "is there space, and is the state directory writable? `facelatch check`"
    try:
        yield
    except sqlite3.DatabaseError as error:
        damaged = getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
        if damaged:
            hint = f"keep {path}, move it away; the daemon begins a new ledger when it starts"
        raise LedgerError(f"{path}: {'damaged: ' if damaged else ''}{error}", hint=hint) from error
    except OSError as error:
        raise LedgerError(f"{error.filename or path}: {error.strerror or error}", hint=hint) from error


@dataclass(frozen=True, slots=True)
class Query:
    """Which rows the history shows, the newest first."""

    since_ms: int | None = None
    until_ms: int | None = None
    person_id: int | None = None
    refused: bool = False
    """Only what tells why somebody did not come in."""
    discreet: bool = False
    """Also what is for admins only."""
    before: int | None = None
    """Only rows before this one."""
    most: int = 250


def selected(connection: sqlite3.Connection, query: Query) -> list[Row]:
    """The rows of a query, the newest first."""
    condition, values = where(query)
    found = connection.execute(
        f"SELECT {COLUMNS} FROM rows{condition} ORDER BY seq DESC LIMIT ?", [*values, query.most]
    )
    return [row_of(one) for one in found]


def where(query: Query, *more: str) -> tuple[str, list[int]]:
    """The condition of a query in SQL, with whatever else shall hold, and its values."""
    limits = {
        "wall_ms >= ?": query.since_ms,
        "wall_ms < ?": query.until_ms,
        "json_extract(fields, '$.PERSON_ID') = ?": query.person_id,
        "seq < ?": query.before,
    }
    given = {condition: value for condition, value in limits.items() if value is not None}
    conditions = [*given, *more]
    if query.refused:
        conditions.append(f"kind IN ({_quoted(REFUSALS)})")
    if not query.discreet and DISCREET:
        conditions.append(f"kind NOT IN ({_quoted(DISCREET)})")
    return f" WHERE {' AND '.join(conditions)}" if conditions else "", [*given.values()]


def after(connection: sqlite3.Connection, seq: int, most: int) -> list[Row]:
    """So many rows after row `seq`, in order."""
    found = connection.execute(f"SELECT {COLUMNS} FROM rows WHERE seq > ? ORDER BY seq LIMIT ?", (seq, most))
    return [row_of(one) for one in found]


def hash_of(connection: sqlite3.Connection, seq: int) -> bytes | None:
    """Of row `seq`; None: there is no such row."""
    found = connection.execute("SELECT hash FROM rows WHERE seq = ?", (seq,)).fetchone()
    return found[0] if found else None


def _quoted(kinds: tuple[str, ...]) -> str:
    return ", ".join(f"'{kind}'" for kind in kinds)


def row_of(found: tuple[int, int, int, int, str, str, str, bytes, bytes]) -> Row:
    """The row that `COLUMNS` are of."""
    seq, wall_ms, trusted, mono_ms, boot, kind, fields, hash_, tag = found
    return Row(
        seq=seq, wall_ms=wall_ms, trusted=bool(trusted), mono_ms=mono_ms, boot=boot, kind=kind, fields=fields,
        hash=hash_, tag=tag,
    )  # fmt: skip


def all_rows(connection: sqlite3.Connection) -> Iterator[Row]:
    """Every row in order, some at a time, so that nobody who writes has to wait for long."""
    seq = -(2**63)
    while chunk := connection.execute(
        f"SELECT {COLUMNS} FROM rows WHERE seq > ? ORDER BY seq LIMIT ?", (seq, CHUNK)
    ).fetchall():
        yield from map(row_of, chunk)
        seq = chunk[-1][0]


def base(connection: sqlite3.Connection) -> Base:
    """What the first row kept follows upon."""
    found = connection.execute("SELECT seq, hash, tag FROM base").fetchone()
    return Base(*found) if found else Base()


def epochs(connection: sqlite3.Connection) -> list[Epoch]:
    """Which start key covers which rows."""
    return [Epoch(*one) for one in connection.execute("SELECT first, commitment FROM epochs ORDER BY first")]


def last_row(connection: sqlite3.Connection) -> Row | None:
    """The newest row."""
    found = connection.execute(f"SELECT {COLUMNS} FROM rows ORDER BY seq DESC LIMIT 1").fetchone()
    return row_of(found) if found else None


_GENERATIONS = (EventKind.GALLERY_GENERATION.value, EventKind.GALLERY_ACCEPTED.value)


def last_generation(path: Path) -> tuple[str, int]:
    """Which gallery was beside this ledger last, and the highest generation of it that is known since somebody accepted
    an older one; nothing and 0 where none is known, or it was not sealed. Raises LedgerError.
    """
    if not path.exists():
        return "", 0
    with closing(open_to_read(path)) as connection, explained(path):
        found = connection.execute(
            "SELECT json_extract(fields, '$.GALLERY') AS gallery, json_extract(fields, '$.GENERATION') FROM rows"
            " WHERE kind IN (?, ?) AND seq >= (SELECT coalesce(max(seq), 0) FROM rows WHERE kind = ?)"
            " ORDER BY seq DESC",
            (*_GENERATIONS, _GENERATIONS[1]),
        ).fetchall()
    last = found[0][0] if found else None
    return (str(last), max(number for gallery, number in found if gallery == last)) if last else ("", 0)


def open_to_read(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing, beside a daemon that writes. Raises LedgerError."""
    with explained(path):
        if not path.exists():
            raise LedgerError(f"{path}: there is no ledger", hint="the daemon makes one when it starts")
        try:
            connection = _connected(path, "ro")
        except sqlite3.OperationalError:
            # A power cut left half a transaction behind: whoever comes next has to undo it, which is writing.
            connection = _connected(path, "rw")
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if application != APPLICATION_ID or version != VERSION:
            connection.close()
            raise LedgerError(f"{path}: not a ledger of this version", hint="which Facelatch has written it?")
    return connection


def _connected(path: Path, mode: str) -> sqlite3.Connection:
    """A connection that has read something. Raises sqlite3.Error."""
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode={mode}", uri=True, timeout=10.0)
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection
