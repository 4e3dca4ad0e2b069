"""The tables of the gallery. A file gets them whole or not at all, and is migrated step by step."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from facelatch.errors import GalleryError
from facelatch.gallery import binding, fleet_schema
from facelatch.gallery.names import skeletons
from facelatch.gallery.place import RESTORE, explained
from facelatch.gallery.seal import Tables
from facelatch.gallery.sealing import adopt
from facelatch.private_files import create_private, sync_directory

APPLICATION_ID = 0x466C6174
"""Marks the file as ours: "Flat" in ASCII."""

BUSY_SECONDS = 1.0
"""How long to wait for another program's lock; the loop waits with us."""

_WITH_LOG = "PRAGMA journal_mode = WAL"
_NOW = "(strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))"

@dataclass(frozen=True, slots=True)
class Context:
    """What a migration that is a function may need besides the connection."""

    path: Path
    """Of the database, beside which other files lie."""



def _names_by_their_looks(connection: sqlite3.Connection, _context: Context) -> None:
    """Version 2: what each name looks like, and an honest name for the column that says how an embedding was made.

    A table of its own, and no two people's skeletons need differ: names from before that look alike go on working.
    """
    connection.execute("ALTER TABLE embeddings RENAME COLUMN model_sha256 TO made_by")
    connection.execute(
        """CREATE TABLE name_skeletons (
            person_id INTEGER NOT NULL REFERENCES people ON DELETE CASCADE,
            skeleton TEXT NOT NULL,
            PRIMARY KEY (person_id, skeleton)
        ) STRICT, WITHOUT ROWID"""
    )
    connection.execute("CREATE INDEX people_of_skeleton ON name_skeletons (skeleton)")
    for id_, name in connection.execute("SELECT id, name FROM people").fetchall():
        connection.executemany(
            "INSERT INTO name_skeletons (person_id, skeleton) VALUES (?, ?)",
            [(id_, skeleton) for skeleton in sorted(skeletons(name))],
        )


Migration = Sequence[str] | Callable[[sqlite3.Connection, Context], None]
"""SQL statements, or a function that runs inside the transaction of its step and neither commits nor rolls back."""

MIGRATIONS: Sequence[Migration] = (
    (
        # AUTOINCREMENT: the id of a removed person is never given to another.
        f"""CREATE TABLE people (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL,
            name_key TEXT NOT NULL UNIQUE,
            admin INTEGER NOT NULL CHECK (admin IN (0, 1)),
            created TEXT NOT NULL DEFAULT {_NOW}
        ) STRICT""",
        f"""CREATE TABLE reference_images (
            id INTEGER PRIMARY KEY,
            person_id INTEGER NOT NULL REFERENCES people ON DELETE CASCADE,
            align_version INTEGER NOT NULL,
            yaw REAL NOT NULL,
            pitch REAL NOT NULL,
            roll REAL NOT NULL,
            created TEXT NOT NULL DEFAULT {_NOW},
            crop_png BLOB NOT NULL
        ) STRICT""",
        "CREATE INDEX reference_images_of_person ON reference_images (person_id)",
        # A cache: vectors are float32 little-endian, comparable only when made by the same.
        """CREATE TABLE embeddings (
            reference_id INTEGER PRIMARY KEY REFERENCES reference_images ON DELETE CASCADE,
            model_sha256 TEXT NOT NULL,
            vector BLOB NOT NULL
        ) STRICT""",
        # last_number: of the last person who got a `person-NNN`; a removed person's number does not come back.
        # wipe_due: somebody was removed and the file still has to be cleared of the traces.
        """CREATE TABLE state (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            refusals INTEGER NOT NULL DEFAULT 0,
            lockout_seconds REAL NOT NULL DEFAULT 0,
            last_number INTEGER NOT NULL DEFAULT 0,
            wipe_due INTEGER NOT NULL DEFAULT 0
        ) STRICT""",
        "INSERT INTO state (id) VALUES (1)",
        f"PRAGMA application_id = {APPLICATION_ID}",
    ),
    _names_by_their_looks,
    (
        # Not NULL: a newcomer of an import that is not finished, by the token of that import (staging.py).
        "ALTER TABLE people ADD COLUMN staged TEXT",
    ),
    (
        # When somebody may come: days as YYYY-MM-DD, both included; a name in schedules.toml; all NULL: always.
        "ALTER TABLE people ADD COLUMN valid_from TEXT",
        "ALTER TABLE people ADD COLUMN valid_until TEXT",
        "ALTER TABLE people ADD COLUMN schedule TEXT",
        "ALTER TABLE people ADD COLUMN suspended INTEGER NOT NULL DEFAULT 0 CHECK (suspended IN (0, 1))",
        "ALTER TABLE people ADD COLUMN forget INTEGER NOT NULL DEFAULT 0 CHECK (forget IN (0, 1))",
        # Hashes that need the key of this device (credentials.py): in an export they would be worth nothing.
        """CREATE TABLE credentials (
            person_id INTEGER PRIMARY KEY REFERENCES people ON DELETE CASCADE,
            pin_hash TEXT,
            duress_hash TEXT,
            card_hash TEXT UNIQUE
        ) STRICT""",
    ),
    (
        # Its one row is there when the gallery is sealed (seal.py): salt and number of the key, a piece sealed by it,
        # and, sealed as well, the secret that PINs are hashed with. From then on crops, vectors and names hold what the
        # key made of them, name_key and skeleton its index.
        """CREATE TABLE seal (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            salt BLOB NOT NULL,
            key_id INTEGER NOT NULL,
            proof BLOB NOT NULL,
            pepper BLOB NOT NULL
        ) STRICT""",
    ),
    fleet_schema.MIGRATION,
    binding.MIGRATION,
)
"""One entry a schema version, the first makes version 1. Entries are history: add, never change."""


def open_database(path: Path, keys: Sequence[bytes] = ()) -> Tables:
    """An autocommit connection to the gallery at `path`, created, migrated or sealed as needed.

    The caller holds the `Ownership`. Raises GalleryError: damaged, of a newer schema, no gallery, locked,
    read-only, disk full, sealed and none of `keys` opens it. A damaged file is only ever read.
    """
    with explained(path):
        _refuse_orphaned_log(path)
        if not path.exists():
            _create(path)
        _examine(path)
        connection = _connect(path)
        try:
            connection.execute(_WITH_LOG)
            _migrate(connection, Context(path))
            # Only now: a migration may have to rebuild a table that others refer to.
            connection.execute("PRAGMA foreign_keys = ON")
            adopt(connection, path, keys)
        except BaseException:
            connection.close()
            raise
    return connection


def memory_database() -> Tables:
    """An empty gallery that is nowhere but in the memory of this process, and gone with it however it ends."""
    connection = _connect(":memory:")
    _migrate(connection, Context(Path(":memory:")))
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _connect(path: Path | str) -> Tables:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, factory=Tables)
    # Keeps the index of the log in memory of our own. Shared with other programs it would be a file mapped into
    # memory, and a write there that waits for a hanging disk stops every thread that needs memory meanwhile: the
    # lock's timer too, with the door unlocked.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")
    # Faces must not pass through a temporary file outside the private directory.
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def _refuse_orphaned_log(path: Path) -> None:
    # SQLite would play it into the fresh database; and an empty gallery makes the next comer the first admin.
    if not path.exists() and _has_log(path):
        raise GalleryError(f"{path}: missing, although its log is there", hint=RESTORE)


def _has_log(path: Path) -> bool:
    log = path.with_name(f"{path.name}-wal")
    return log.exists() and log.stat().st_size > 0


def _examine(path: Path) -> None:
    """Reads an existing file through a connection that cannot write. Raises GalleryError or sqlite3.Error.

    Such a connection shares the index of the log: its file (32 kB) is made here and stays, so that there is one
    when the disk is full.
    """
    if path.stat().st_size == 0:
        # Ours never are: they are created whole. SQLite would take it for a new, empty gallery.
        raise GalleryError(f"{path}: damaged: the file is empty", hint=RESTORE)
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=BUSY_SECONDS)
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        if application != APPLICATION_ID:
            raise GalleryError(f"{path}: a database, but not a Facelatch gallery", hint=RESTORE)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise GalleryError(
                f"{path}: has schema {version}, this Facelatch knows up to {len(MIGRATIONS)}",
                hint="it was written by a newer Facelatch: install that one again",
            )
        (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if finding != "ok":
            raise GalleryError(f"{path}: damaged ({finding})", hint=RESTORE)
        if foreign := _objects(connection) ^ _expected_objects(version):
            kind, name, *_ = min(foreign)
            raise GalleryError(
                f"{path}: damaged or changed by others: {kind} {name} is not as Facelatch makes it", hint=RESTORE
            )
        (page_size,) = connection.execute("PRAGMA page_size").fetchone()
        if path.stat().st_size % page_size and not _has_log(path):
            # SQLite takes what is missing of the last page for zeros.
            raise GalleryError(f"{path}: damaged: cut off in its last page", hint=RESTORE)
    finally:
        connection.close()


Objects = frozenset[tuple[str, ...]]
"""What a schema consists of: (kind, name, table, columns) each."""


def _objects(connection: sqlite3.Connection) -> Objects:
    """Tables, indices, views and triggers with their columns, not their SQL: that SQLite may write differently from
    version to version. Its own statistics, which anybody may have asked for, do not count."""
    found = connection.execute("SELECT type, name, tbl_name FROM sqlite_schema").fetchall()
    own = [row for row in found if not row[1].startswith("sqlite_stat")]
    return frozenset(
        (*row, repr(connection.execute("SELECT * FROM pragma_table_info(?)", (row[1],)).fetchall()))
        for row in own
    )


def _expected_objects(version: int) -> Objects:
    """What the migrations up to `version` make of nothing."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        _migrate(connection, Context(Path(":memory:")), version)
        return _objects(connection)
    finally:
        connection.close()


def _create(path: Path) -> None:
    """Makes the file under another name and renames it when it is whole, so a crash leaves none or all."""
    draft = path.with_name(f"{path.name}.new")
    for leftover in path.parent.glob(f"{draft.name}*"):
        leftover.unlink()
    os.close(create_private(draft))
    connection = _connect(draft)
    try:
        _migrate(connection, Context(draft))
        connection.execute(_WITH_LOG)  # last: closing does not tell when a log could not be moved into the file
    finally:
        connection.close()
    draft.rename(path)
    sync_directory(path.parent)


def _migrate(connection: sqlite3.Connection, context: Context, last: int | None = None) -> None:
    """Each missing step up to `last` in a transaction of its own that also raises the version number."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for number, migration in enumerate(MIGRATIONS[version:last], start=version + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            if callable(migration):
                migration(connection, context)
            else:
                for statement in migration:
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
