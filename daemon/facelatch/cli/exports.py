"""Files with everybody in them, as the commands write and read them: encrypted, unless plain is asked for."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from facelatch.cli.asking import exported, tell_of_export
from facelatch.errors import InputError

if TYPE_CHECKING:
    from facelatch.config.file import Config
    from facelatch.gallery.export import StoredPerson

MIN_PASSPHRASE = 12

BACKUP = "facelatch-*.age"


def new_passphrase() -> str:
    """Asks for a passphrase, twice. Raises InputError for a short one."""
    passphrase = str(click.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True))
    if len(passphrase) < MIN_PASSPHRASE:
        raise InputError(
            f"a passphrase of {len(passphrase)} characters: at least {MIN_PASSPHRASE} are needed",
            hint="whoever has the file may try millions: take several words",
        )
    return passphrase


def everybody(
    config: Config, file: AbstractContextManager[IO[bytes]], *, to: Sequence[str], passphrase: str | None = None
) -> int:
    """Writes everybody who is enrolled into `file`, as `write` does, and sees that the audit is told; how many.

    Raises InputError, and what the daemon or the gallery raises.
    """
    alone = False

    def without_daemon() -> None:
        nonlocal alone
        alone = True

    with file as stream:
        count = write(stream, exported(config, without_daemon), to=to, passphrase=passphrase)
    if alone:
        tell_of_export(config, count)
    return count


def write(
    stream: IO[bytes], people: Iterable[StoredPerson], *, to: Sequence[str] = (), passphrase: str | None = None
) -> int:
    """Writes `people` for the holders of the age keys `to`, under a passphrase, or with neither as they are; how many.

    Raises InputError.
    """
    from facelatch.gallery import age
    from facelatch.gallery.export import write_export

    if to:
        with age.encrypting(stream, age.recipients(to)) as sink:
            return write_export(sink, people)
    if passphrase is None:
        return write_export(stream, people)
    buffer = io.BytesIO()
    count = write_export(buffer, people)
    stream.write(age.encrypted_by_passphrase(buffer.getvalue(), passphrase))
    return count


@contextmanager
def opened(file: Path, identity: Path | None = None) -> Iterator[IO[bytes]]:
    """The export in `file`, decrypted where it is encrypted; asks for its passphrase. Raises InputError."""
    from facelatch.gallery import age

    try:
        stream = file.open("rb")
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}", hint="name an export file you may read") from error
    with stream:
        if not age.is_encrypted(stream):
            yield stream
            return
        with age.decrypted(stream, identity, _asked_passphrase) as plain:
            yield plain


def _asked_passphrase() -> str:
    return str(click.prompt("Passphrase", hide_input=True, err=True))


def backup_name(now: datetime | None = None) -> str:
    """Of a backup made `now`; names sort by age."""
    return f"facelatch-{(now or datetime.now(UTC)).strftime('%Y%m%dT%H%M%SZ')}.age"


def rotate(folder: Path, keep: int) -> list[Path]:
    """Removes all but the newest `keep` backups in `folder`; which ones. Raises InputError."""
    gone = sorted(folder.glob(BACKUP))[:-keep]
    try:
        for file in gone:
            file.unlink()
    except OSError as error:
        raise InputError(f"{error.filename}: {error.strerror}", hint="remove old backups yourself") from error
    return gone
