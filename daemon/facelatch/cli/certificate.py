"""`facelatch console certificate`: an authority of the door's own, and the console's certificate by it."""

from __future__ import annotations

import grp
import os
import socket
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facelatch.cli.settings import Settings, as_json
from facelatch.errors import InputError

if TYPE_CHECKING:
    from facelatch.console.authority import Issued

FOLDER = Path("/etc/facelatch/console")
AUTHORITY, TRUSTED, CERTIFICATE = "authority.key", "facelatch-authority.crt", "console.pem"
"""The authority with its key, root's alone; its certificate for others; the console's own with its key."""

READER = "facelatch-console"
"""The group that may read the console's key."""

RENEW_DAYS = 60


@click.command()
@click.argument("names", nargs=-1)
@click.option("--folder", type=click.Path(path_type=Path), default=FOLDER, show_default=True)
@click.option("--renew", is_flag=True, help=f"Only when fewer than {RENEW_DAYS} days are left (for a timer).")
@click.option("--show", is_flag=True, help="Say what there is; change nothing.")
@click.option("--new-authority", is_flag=True, help="Also a new authority: phones have to trust it anew.")
@as_json
@click.pass_obj
def certificate(
    settings: Settings, names: tuple[str, ...], folder: Path, renew: bool, show: bool, new_authority: bool
) -> None:
    """Make or renew the console's certificate, for NAMES: host names and addresses by which it is asked.

    The first time this also makes an authority, which phones and browsers have to trust once
    (deploy/README.md says how). NAMES are kept for the next time.

    \b
      sudo facelatch console certificate door.local 192.168.1.20
    """
    from facelatch.console import authority

    file, now = folder / CERTIFICATE, datetime.now(UTC)
    there = authority.read(_bytes(file)) if file.exists() else None
    if show or (renew and there is None):
        if there is None:
            raise InputError(f"{file}: there is none yet", hint="`facelatch console certificate door.local`")
    elif not renew or (there is not None and there.until - now < timedelta(days=RENEW_DAYS)):
        wanted = list(names) or (list(there.names) if there else _own_names())
        _make(folder, wanted, now, anew=new_authority)
        there = authority.read(_bytes(file))
    assert there is not None
    trusted = authority.read(_bytes(folder / TRUSTED))
    _say(settings, folder, there, trusted)


def _make(folder: Path, names: list[str], now: datetime, *, anew: bool) -> None:
    """Writes what is missing, the authority first. Raises InputError."""
    from facelatch.console import authority
    from facelatch.private_files import write_private_file

    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)  # whatever root's umask: the console's user has to reach its file
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}", hint="as root: sudo facelatch console ...") from error
    above = folder / AUTHORITY
    if anew or not above.exists():
        label = f"Facelatch door {socket.gethostname()[:40]}"
        write_private_file(above, authority.new_authority(label, names, now))
    signed = authority.issue(_bytes(above), names, now)
    _write_readable(folder / TRUSTED, authority.certificate_of(_bytes(above)), 0o644)
    _write_readable(folder / CERTIFICATE, signed, 0o640)


def _write_readable(file: Path, data: bytes, mode: int) -> None:
    """Whole or not at all, for the console's user to read. Key and certificate are one file: they never disagree."""
    from facelatch.private_files import private_file

    with private_file(file) as stream:
        with suppress(KeyError, PermissionError):  # on a desk there is no such group
            os.fchown(stream.fileno(), -1, grp.getgrnam(READER).gr_gid)
        os.fchmod(stream.fileno(), mode)
        stream.write(data)


def _own_names() -> list[str]:
    name = socket.gethostname().partition(".")[0].lower()
    return [f"{name}.local", "localhost", "127.0.0.1"]


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}", hint="as root: sudo facelatch console ...") from error


def _say(settings: Settings, folder: Path, there: Issued, trusted: Issued) -> None:
    file = folder / CERTIFICATE
    hosts = [name for name in there.names if any(c.isalpha() for c in name) and ":" not in name]
    quoted = ", ".join(f'"{host}"' for host in hosts)
    text = (
        f"certificate for {', '.join(there.names)} until {there.until:%Y-%m-%d}: {file}\n"
        f"authority until {trusted.until:%Y-%m-%d}: {folder / TRUSTED}\n"
        f"  SHA-256 {trusted.fingerprint}\n"
        "phones and browsers have to trust the authority once: deploy/README.md, The console\n"
        f'[console]\nlisten = "0.0.0.0:8443"\nnames = [{quoted}]\ncertificate = "{file}"\nkey = "{file}"'
    )
    facts = {"names": list(there.names), "until": there.until.isoformat(), "certificate": str(file)}
    facts |= {"authority": str(folder / TRUSTED), "fingerprint": trusted.fingerprint}
    settings.show(facts, text)
