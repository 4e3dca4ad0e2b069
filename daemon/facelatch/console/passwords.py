"""Passwords at rest: argon2id, 19 MiB and two passes (33 ms of a desk's processor), as OWASP's cheat sheet has it."""

from __future__ import annotations

import argon2

from facelatch.errors import InputError

LEAST, MOST = 12, 256
_HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_NOBODYS = _HASHER.hash("the password of nobody")
"""Names that do not exist take as long to refuse as wrong passwords."""


def hashed(password: str) -> str:
    """What is kept of it. Raises InputError for one that is too short or too long."""
    if not LEAST <= len(password) <= MOST:
        raise InputError(
            f"a password has {LEAST} to {MOST} characters", hint="three or four words that belong to nothing"
        )
    return _HASHER.hash(password)


def right(kept: str | None, password: str) -> bool:
    """Whether `password` is the one `kept` was made of; `kept` is None for a name without account."""
    try:
        return _HASHER.verify(kept or _NOBODYS, password[: MOST + 1]) and kept is not None
    except argon2.exceptions.VerificationError:
        return False
