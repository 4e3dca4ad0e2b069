"""The folder of a fleet's authority: what it knows, and what each machine gets of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from facelatch.errors import InputError
from facelatch.private_files import write_private_file
from facelatch.sharing import authority, certificates
from facelatch.sharing.authority import Authority, Member
from facelatch.sharing.membership import dumps

STATE, CA_KEY, CA, BROKER_KEY, BROKER = "authority.json", "ca.key", "ca.crt", "broker.key", "broker.crt"

BROKER_FOLDER = "/etc/mosquitto/facelatch"
"""Where the broker has what is in `broker/`."""

MOSQUITTO = """# Written by `facelatch fleet`: /etc/mosquitto/conf.d/facelatch.conf
per_listener_settings true
persistence true
# The broker is never the only copy: what is lost here the doors that enrol bring again.
autosave_interval 30
max_queued_messages 10000

listener 8883
cafile {folder}/ca.crt
certfile {folder}/broker.crt
keyfile {folder}/broker.key
crlfile {folder}/crl.pem
require_certificate true
use_identity_as_username true
# Else whoever is let in may take the name that another connection goes by, and the broker would end that one.
use_username_as_clientid true
allow_anonymous false
acl_file {folder}/acl
"""


def found(folder: Path, hosts: tuple[str, ...]) -> Authority:
    """Makes the folder and everything in it. Raises InputError: it is there already."""
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder}: is not empty", hint="a fleet gets a folder of its own")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    made = authority.founded(hosts)
    certificate, key = certificates.authority(made.fleet)
    write_private_file(folder / CA_KEY, key.encode())
    write_private_file(folder / CA, certificate.encode())
    write_private_file(folder / STATE, authority.dumps(made))
    return changed(folder, lambda same: same)


def read(folder: Path) -> Authority:
    """What the authority knows. Raises InputError."""
    try:
        return authority.loads((folder / STATE).read_bytes())
    except OSError as error:
        raise InputError(
            f"{folder}: {error.strerror}", hint="`facelatch fleet init FOLDER` makes a fleet; --fleet names its folder"
        ) from error
    except ValueError as error:
        raise InputError(f"{folder / STATE}: {error}", hint="restore it from your copy") from error


def changed(folder: Path, change: Callable[[Authority], Authority]) -> Authority:
    """Writes what has changed, first what the authority knows: whatever is cut off after that, the next command makes.

    Raises InputError.
    """
    new = change(read(folder))
    vouching = ((folder / CA).read_text(), (folder / CA_KEY).read_text())
    members = {
        name: one if one.certificate else _certified(vouching, name, one) for name, one in new.members.items()
    }
    new = replace(new, members=members)
    write_private_file(folder / STATE, authority.dumps(new))
    _write_broker(folder, vouching, new)
    for name in new.members:
        _write_member(folder, vouching[0], new, name)
    return new


def _certified(vouching: certificates.Pem, name: str, one: Member) -> Member:
    certificate, key = certificates.client(vouching, name)
    return replace(one, certificate=certificate, private_key=key)


def _write_broker(folder: Path, vouching: certificates.Pem, new: Authority) -> None:
    place = _private(folder / "broker")
    if not (place / BROKER).exists():
        certificate, key = certificates.server(vouching, new.hosts)
        write_private_file(place / BROKER_KEY, key.encode())
        write_private_file(place / BROKER, certificate.encode())
    write_private_file(place / CA, vouching[0].encode())
    write_private_file(place / "crl.pem", certificates.revocations(vouching, new.revoked).encode())
    write_private_file(place / "acl", authority.access_list(new).encode())
    write_private_file(place / "facelatch.conf", MOSQUITTO.format(folder=BROKER_FOLDER).encode())


def _write_member(folder: Path, ca: str, new: Authority, name: str) -> None:
    one, place = new.members[name], _private(_private(folder / "doors") / name)
    bridge = _private(place / "bridge")
    write_private_file(bridge / CA, ca.encode())
    write_private_file(bridge / "door.crt", one.certificate.encode())
    write_private_file(bridge / "door.key", one.private_key.encode())
    if one.is_door:
        write_private_file(_private(place / "daemon") / "membership.json", dumps(authority.membership(new, name)))


def forget_files(folder: Path, name: str) -> None:
    """Deletes what a member would get that is one no more."""
    place = folder / "doors" / name
    for file in sorted(place.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    if place.exists():
        place.rmdir()


def _private(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chmod(folder, 0o700)  # noqa: PTH101  (whatever the umask was)
    return folder
