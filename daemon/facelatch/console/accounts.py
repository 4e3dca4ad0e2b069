"""Who may sign in, and who has: accounts, invitations, sessions and failures, in one SQLite file of the console's own.

Tokens and session ids are kept as SHA-256 only: who reads the file can neither sign in nor go on as somebody.
"""

from __future__ import annotations

import builtins
import hashlib
import os
import re
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from facelatch.console import passwords, throttle
from facelatch.console.throttle import Failures
from facelatch.errors import InputError

Role = Literal["viewer", "enroller", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""Each may what those before it may."""

INVITATION_SECONDS = 15 * 60.0
PROOF_SECONDS = 5 * 60.0
"""How long after a password or passkey was given changes need no further one."""

_NAME = re.compile(r"[a-z0-9-]{1,32}")
_TABLES = """
CREATE TABLE IF NOT EXISTS accounts (name TEXT PRIMARY KEY, role TEXT NOT NULL, password TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS invitations (
  token BLOB PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, until REAL NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS sessions (
  id BLOB PRIMARY KEY, account TEXT NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
  csrf TEXT NOT NULL, began REAL NOT NULL, seen REAL NOT NULL, proved REAL NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS failures (
  key TEXT PRIMARY KEY, count INTEGER NOT NULL, last REAL NOT NULL, until REAL NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS passkeys (
  id BLOB PRIMARY KEY, account TEXT NOT NULL REFERENCES accounts (name) ON DELETE CASCADE, site TEXT NOT NULL,
  key BLOB NOT NULL, count INTEGER NOT NULL, handle BLOB NOT NULL, label TEXT NOT NULL, made REAL NOT NULL) STRICT;
"""
_SCHEMA = 2
"""Of the file; 1, which had no passkeys, did not say so. Older ones get what they lack."""


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who has signed in."""

    account: str
    role: Role
    csrf: str
    """What each form has to bring back."""
    proved: bool
    """Whether the password or a passkey was given just now."""

    def may(self, role: Role) -> bool:
        """Whether the role of the account covers `role`."""
        return ROLES.index(self.role) >= ROLES.index(role)


class ThrottledError(InputError):
    """Too many wrong passwords; the attempt was not looked at."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"too many failed attempts: wait {seconds:.0f} s", hint="`facelatch console invite` helps"
        )
        self.seconds = seconds


class Accounts:
    """The file; safe to use from several threads."""

    def __init__(
        self, directory: Path, clock: Callable[[], float], *, hours: float = 12.0, minutes: float = 30.0
    ) -> None:
        """`clock` gives seconds since the epoch; sessions end after `hours`, or `minutes` without a request."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = directory / "accounts.sqlite"
        os.close(os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        self._lock, self._clock = threading.Lock(), clock
        self._one_guess = threading.Lock()
        self._longest, self._idle = hours * 3600.0, minutes * 60.0
        self._connection = sqlite3.connect(file, check_same_thread=False, isolation_level=None, timeout=10)
        self._connection.executescript("PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON;")
        if self._connection.execute("PRAGMA user_version").fetchone()[0] > _SCHEMA:
            raise InputError(f"{file}: written by a newer version", hint="install that one again")
        self._connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {_SCHEMA}; COMMIT;")

    def invite(self, name: str, role: Role) -> str:
        """A token by which `name` may choose a password, once, within a quarter of an hour. Raises InputError."""
        if not _NAME.fullmatch(name):
            raise InputError(
                f"{name!r}: an account's name has 1 to 32 of a-z, 0-9 and -", hint="such as alice"
            )
        token = secrets.token_urlsafe(16)
        with self.changing() as change:
            change("DELETE FROM invitations WHERE until < ? OR name = ?", self._clock(), name)
            until = self._clock() + INVITATION_SECONDS
            change("INSERT INTO invitations VALUES (?, ?, ?, ?)", _digest(token), name, role, until)
        return token

    def invited(self, token: str) -> str | None:
        """Whom an invitation is for; None when there is none, or no longer."""
        row = self.row(
            "SELECT name FROM invitations WHERE token = ? AND until >= ?", _digest(token), self._clock()
        )
        return None if row is None else str(row[0])

    def accept(self, token: str, password: str) -> str:
        """Uses an invitation up; whoever was signed in under that name is not any more. Returns a session's id."""
        kept = passwords.hashed(password)
        with self.changing() as change:
            row = change(
                "DELETE FROM invitations WHERE token = ? AND until >= ? RETURNING name, role",
                _digest(token),
                self._clock(),
            )
            if row is None:
                raise InputError(
                    "this link was used, or is older than 15 minutes",
                    hint="`sudo facelatch console invite NAME`",
                )
            name, role = row
            change("DELETE FROM accounts WHERE name = ?", name)
            change("DELETE FROM failures WHERE key = ?", f"account {name}")
            change("INSERT INTO accounts VALUES (?, ?, ?)", name, role, kept)
            return self._begun(change, name)

    def sign_in(self, name: str, password: str, address: str) -> str | None:
        """The id of a new session; None for a wrong name or password. Raises ThrottledError."""
        return self.begin(name) if self._proved(name, password, address) else None

    def begin(self, name: str) -> str:
        """The id of a new session of whoever has just proved to be `name`. Raises InputError: no such account."""
        with self.changing() as change:
            if change("SELECT name FROM accounts WHERE name = ?", name) is None:
                raise InputError("there is no such account any more")
            return self._begun(change, name)

    def prove(self, id_: str, password: str, address: str) -> bool:
        """Whether whoever has this session knows its password; then changes are allowed for a while.

        Raises ThrottledError.
        """
        row = self.row("SELECT account FROM sessions WHERE id = ?", _digest(id_))
        if row is None or not self._proved(str(row[0]), password, address):
            return False
        self.note_proof(id_)
        return True

    def note_proof(self, id_: str) -> None:
        """Whoever has this session has just shown once more who it is: changes are allowed for a while."""
        with self.changing() as change:
            change("UPDATE sessions SET proved = ? WHERE id = ?", self._clock(), _digest(id_))

    def session(self, id_: str) -> Session | None:
        """Whose session it is, which is in use now; None when it is over or never was."""
        now = self._clock()
        with self.changing() as change:
            oldest = (
                now - self._longest,
                now - self._idle,
                now + 60,
            )  # a clock that was set back ends sessions
            change("DELETE FROM sessions WHERE began < ? OR seen < ? OR began > ?", *oldest)
            change("UPDATE sessions SET seen = ? WHERE id = ?", now, _digest(id_))
        return self.watching(id_)

    def watching(self, id_: str) -> Session | None:
        """The same for a page that is only open: looking at it is no use that keeps the session going."""
        now = self._clock()
        row = self.row(
            "SELECT account, role, csrf, proved, began, seen FROM sessions JOIN accounts ON name = account"
            " WHERE id = ?",
            _digest(id_),
        )
        if row is None:
            return None
        account, role, csrf, proved, began, seen = row
        if now - began > self._longest or now - seen > self._idle:
            return None
        return Session(account=account, role=role, csrf=csrf, proved=0 <= now - proved <= PROOF_SECONDS)

    def sign_out(self, id_: str) -> None:
        """Ends a session."""
        with self.changing() as change:
            change("DELETE FROM sessions WHERE id = ?", _digest(id_))

    def list(self) -> list[tuple[str, Role]]:
        """All accounts with their roles, by name."""
        return self.rows("SELECT name, role FROM accounts ORDER BY name")

    def remove(self, name: str) -> bool:
        """Whether there was such an account; its sessions end with it."""
        with self.changing() as change:
            return change("DELETE FROM accounts WHERE name = ? RETURNING name", name) is not None

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    def _proved(self, name: str, password: str, address: str) -> bool:
        # One after the other: of many at once none would see that the others failed, and each takes 19 MB.
        with self._one_guess:
            return self._guessed(name, password, (f"account {name}", f"address {throttle.place(address)}"))

    def _guessed(self, name: str, password: str, keys: tuple[str, str]) -> bool:
        longest = max(throttle.wait(self._failures(key), self._clock()) for key in keys)
        if longest > 0:
            raise ThrottledError(longest)
        row = self.row("SELECT password FROM accounts WHERE name = ?", name)
        if passwords.right(None if row is None else str(row[0]), password):
            with self.changing() as change:
                change("DELETE FROM failures WHERE key = ?", keys[0])
            return True
        now = self._clock()
        failures = {key[:64]: throttle.failed(self._failures(key), now) for key in keys}
        with self.changing() as change:
            change("DELETE FROM failures WHERE last < ?", now - throttle.FORGET_SECONDS)
            for key, after in failures.items():
                change(
                    "INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?)",
                    *(key, after.count, after.last, after.until),
                )
        return False

    def _failures(self, key: str) -> Failures:
        row = self.row("SELECT count, last, until FROM failures WHERE key = ?", key[:64])
        return Failures() if row is None else Failures(count=row[0], last=row[1], until=row[2])

    def _begun(self, change: Callable[..., tuple[Any, ...] | None], name: str) -> str:
        id_, now = secrets.token_urlsafe(32), self._clock()
        change(
            "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?)",
            _digest(id_),
            name,
            secrets.token_urlsafe(16),
            now,
            now,
            now,
        )
        return id_

    def row(self, statement: str, *values: object) -> tuple[Any, ...] | None:
        """The first row of an answer."""
        with self._lock:
            row: tuple[Any, ...] | None = self._connection.execute(statement, values).fetchone()
            return row

    def rows(self, statement: str, *values: object) -> builtins.list[Any]:
        """All rows of an answer."""
        with self._lock:
            return self._connection.execute(statement, values).fetchall()

    @contextmanager
    def changing(self) -> Iterator[Callable[..., tuple[Any, ...] | None]]:
        """All statements or none; each call gives the first row of its answer."""
        with self._lock, self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            yield lambda statement, *values: self._connection.execute(statement, values).fetchone()


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
