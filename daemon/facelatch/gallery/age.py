"""Export files encrypted with age (age-encryption.org), read and written as a stream."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from facelatch.errors import InputError

_MAGIC = b"age-encryption.org/v1\n"
_PASSPHRASE = b"-> scrypt "

Secret = Callable[[], str]
"""Asks for the passphrase of a file that has one."""


def is_encrypted(stream: IO[bytes]) -> bool:
    """Whether an age file begins here; the stream stays where it is."""
    start = stream.read(len(_MAGIC))
    stream.seek(-len(start), os.SEEK_CUR)
    return start == _MAGIC


def recipients(texts: Sequence[str]) -> list[Any]:
    """Those who can read the file, by their public keys (age1...). Raises InputError."""
    import pyrage

    found = []
    for text in texts:
        try:
            found.append(pyrage.x25519.Recipient.from_str(text))
        except pyrage.RecipientError as error:
            raise InputError(f"{text[:80]!a}: not a recipient", hint="`age-keygen` prints one: age1...") from error
    return found


def recipients_in(file: Path) -> list[str]:
    """The recipients in a file, one a line; lines with # are comments. Raises InputError: unreadable, or none."""
    found = _lines(file)
    if not found:
        raise InputError(f"{file}: no recipient in it", hint="a line for each: age1...")
    return found


def _lines(file: Path) -> list[str]:
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read: {error}", hint="name a file that you may read") from error
    return [line for line in lines if line and not line.startswith("#")]


@contextmanager
def encrypting(target: IO[bytes], to: Sequence[Any]) -> Iterator[IO[bytes]]:
    """Where to write what comes encrypted into `target` when the block ends. Raises InputError.

    Nothing of it lies anywhere in clear, and no more of it is in memory than a pipe holds.
    """
    import pyrage

    reading, writing = os.pipe()
    faults: list[BaseException] = []

    def encrypt() -> None:
        with os.fdopen(reading, "rb") as source:
            try:
                pyrage.encrypt_io(source, target, to)
            except BaseException as error:
                faults.append(error)

    worker = threading.Thread(target=encrypt)
    worker.start()
    try:
        with os.fdopen(writing, "wb") as sink:
            yield sink
    except BrokenPipeError:
        pass  # its reader has ended: the fault is told below
    finally:
        worker.join()
    if faults:
        raise InputError(f"cannot be encrypted: {faults[0]}", hint="is there space left on the disk?") from faults[0]


def encrypted_by_passphrase(data: bytes, passphrase: str) -> bytes:
    """The age file that opens with `passphrase`. Takes about a second, on purpose."""
    import pyrage

    return bytes(pyrage.passphrase.encrypt(data, passphrase))


@contextmanager
def decrypted(stream: IO[bytes], identity: Path | None, passphrase: Secret) -> Iterator[IO[bytes]]:
    """What an age file holds, to be read at any place; it is kept in memory, never on the disk.

    `identity` is the file with the private key (AGE-SECRET-KEY-1...); a file with a passphrase asks for it. Raises
    InputError: no identity, one that does not fit, wrong passphrase, damaged file.
    """
    import pyrage

    start = stream.read(len(_MAGIC) + len(_PASSPHRASE))
    stream.seek(-len(start), os.SEEK_CUR)
    with os.fdopen(os.memfd_create("export", os.MFD_CLOEXEC), "w+b") as plain:
        try:
            if start.endswith(_PASSPHRASE):
                plain.write(pyrage.passphrase.decrypt(stream.read(), passphrase()))
            elif identity is None:
                raise InputError("encrypted for the holder of a key", hint="--identity FILE names the key's file")
            else:
                pyrage.decrypt_io(stream, plain, _identities(identity))
        except (pyrage.DecryptError, OSError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"cannot be decrypted: {error}", hint="is it the right key or passphrase, and is the file whole?"
            ) from error
        plain.seek(0)
        yield plain


def _identities(file: Path) -> list[Any]:
    import pyrage

    try:
        found = [pyrage.x25519.Identity.from_str(line) for line in _lines(file)]
    except pyrage.IdentityError as error:
        raise InputError(f"{file}: not an age identity", hint="the file that `age-keygen -o FILE` writes") from error
    if not found:
        raise InputError(f"{file}: no identity in it", hint="the file that `age-keygen -o FILE` writes")
    return found
