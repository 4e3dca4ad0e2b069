"""The console's own certificate authority: judged by OpenSSL, as a browser's library would."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

pytest.importorskip("cryptography", reason="the certificates' library is missing")
pytest.importorskip("uvicorn", reason="the console's libraries are missing")
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from facelatch.cli.root import facelatch
from facelatch.console import app, authority
from facelatch.errors import InputError

NOW = datetime.now(UTC)
NAMES = ["door.local", "192.168.1.20", "fd00::7"]
ABOVE = authority.new_authority("Facelatch test", NAMES, NOW)


def served(pem: bytes, tmp_path: Path) -> ssl.SSLContext:
    file = tmp_path / "served.pem"
    file.write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, file)
    return context


def talk(
    server_context: ssl.SSLContext, trusted: bytes, name: str, client_context: ssl.SSLContext | None = None
) -> dict[str, Any]:
    """What a client learns that trusts `trusted` and asks for `name`; raises what it would show its user."""
    client_context = client_context or ssl.create_default_context(cadata=trusted.decode())
    towards, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(back, towards, server_hostname=name)
    server = server_context.wrap_bio(towards, back, server_side=True)
    waiting: list[Callable[[], None]] = [client.do_handshake, server.do_handshake]
    while waiting:
        step = waiting.pop(0)
        try:
            step()
        except ssl.SSLWantReadError:
            waiting.append(step)
    return dict(client.getpeercert() or {})


@pytest.mark.parametrize("name", NAMES)
def test_whoever_trusts_the_authority_reaches_the_console_by_each_of_its_names(tmp_path: Path, name: str):
    pem = authority.issue(ABOVE, NAMES, NOW)
    assert talk(served(pem, tmp_path), authority.certificate_of(ABOVE), name)


def test_nobody_else_is_reached_by_it(tmp_path: Path):
    context = served(authority.issue(ABOVE, NAMES, NOW), tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        talk(context, authority.certificate_of(ABOVE), "other.local")
    stranger = authority.new_authority("another", NAMES, NOW)
    with pytest.raises(ssl.SSLCertVerificationError):
        talk(context, authority.certificate_of(stranger), "door.local")


def test_a_stolen_authority_stands_in_for_no_site_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its thief signs what the command refuses to; clients refuse it, as the authority has bound itself."""
    with pytest.raises(InputError, match=r"not made for bank\.example, 9\.9\.9\.9"):
        authority.issue(ABOVE, ["bank.example", "9.9.9.9"], NOW)
    monkeypatch.setattr(authority, "_require_permitted", lambda *_: None)
    for name in ("bank.example", "9.9.9.9"):
        context = served(authority.issue(ABOVE, [name], NOW), tmp_path)
        with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
            talk(context, authority.certificate_of(ABOVE), name)


def test_a_stolen_authority_vouches_for_nothing_but_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Not for whoever signs in by a certificate, nor signs mail: names in those are not bound."""
    trusted = authority.certificate_of(ABOVE)
    server = served(authority.issue(ABOVE, ["door.local"], NOW), tmp_path)
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(cadata=trusted.decode())
    monkeypatch.setattr(authority, "_FOR_SERVERS", x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]))
    somebody = tmp_path / "somebody.pem"
    somebody.write_bytes(authority.issue(ABOVE, ["door.local"], NOW))
    client = ssl.create_default_context(cadata=trusted.decode())
    client.load_cert_chain(somebody)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"purpose|invalid CA"):
        talk(server, trusted, "door.local", client)


def test_a_name_outside_can_be_had_from_the_beginning(tmp_path: Path):
    above = authority.new_authority("test", ["door.example.org"], NOW)
    context = served(authority.issue(above, ["door.example.org"], NOW), tmp_path)
    assert talk(context, authority.certificate_of(above), "door.example.org")


@pytest.mark.parametrize(
    "name", ["", "a b", "-x", "https://door.local", "door.local:8443", "*.local", "dörr.local"]
)
def test_what_is_no_name_is_refused(name: str):
    with pytest.raises(InputError, match="neither a host name nor an address"):
        authority.issue(ABOVE, [name], NOW)


def test_a_certificate_never_outlives_its_authority_and_a_foreign_key_is_noticed():
    with pytest.raises(InputError, match="authority ends"):
        authority.issue(ABOVE, NAMES, NOW + timedelta(days=authority.AUTHORITY_DAYS - 300))
    key = authority.new_authority("other", NAMES, NOW).partition(b"-----BEGIN CERTIFICATE")[0]
    with pytest.raises(InputError, match="not that of its certificate"):
        authority.issue(key + authority.certificate_of(ABOVE), NAMES, NOW)
    with pytest.raises(InputError, match="no key"):
        authority.issue(authority.certificate_of(ABOVE), NAMES, NOW)
    with pytest.raises(InputError, match="no certificate"):
        authority.read(b"x")


def command(*words: object, exit_code: int = 0) -> Any:
    done = CliRunner().invoke(facelatch, ["console", "certificate", *map(str, words), "--json"])
    assert done.exit_code == exit_code or done.exception is not None, done.output
    return json.loads(done.output) if not done.exception else done.exception


def test_the_command_makes_both_with_the_key_of_the_authority_for_its_owner_alone(tmp_path: Path):
    before = os.umask(0o077)
    try:
        told = command("door.local", "192.168.1.20", "--folder", tmp_path / "c")
    finally:
        os.umask(before)
    assert (tmp_path / "c").stat().st_mode & 0o777 == 0o755
    modes = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "c").iterdir()}
    assert modes == {"authority.key": 0o600, "console.pem": 0o640, "facelatch-authority.crt": 0o644}
    assert told["names"] == ["door.local", "192.168.1.20"]
    assert b"PRIVATE" not in (tmp_path / "c" / "facelatch-authority.crt").read_bytes()
    served((tmp_path / "c" / "console.pem").read_bytes(), tmp_path)


def test_renewing_keeps_names_and_authority_and_does_nothing_before_its_time(tmp_path: Path):
    folder = tmp_path / "c"
    first = command("door.local", "--folder", folder)
    before = (folder / "console.pem").read_bytes()
    command("--folder", folder, "--renew")
    command("--folder", folder, "--show")
    assert (folder / "console.pem").read_bytes() == before
    old = authority.issue((folder / "authority.key").read_bytes(), ["door.local"], NOW - timedelta(days=350))
    (folder / "console.pem").write_bytes(old)
    again = command("--folder", folder, "--renew")
    assert again["until"][:10] == first["until"][:10] != authority.read(old).until.date().isoformat()
    assert (again["names"], again["fingerprint"]) == (first["names"], first["fingerprint"])
    anew = command("--folder", folder, "--new-authority")
    assert (anew["names"], anew["fingerprint"] != first["fingerprint"]) == (first["names"], True)


@pytest.mark.parametrize("option", ["--renew", "--show"])
def test_a_timer_and_a_look_make_none(tmp_path: Path, option: str):
    assert "there is none yet" in str(command("--folder", tmp_path, option, exit_code=9))
    assert list(tmp_path.iterdir()) == []


def test_a_renewed_certificate_is_served_without_a_restart_and_a_damaged_one_changes_nothing(tmp_path: Path):
    file = tmp_path / "served.pem"
    context = served(authority.issue(ABOVE, ["door.local"], NOW), tmp_path)
    over = app.follow(context, file, file, every=0.01)
    try:
        file.write_bytes(b"damaged")
        assert talk(context, authority.certificate_of(ABOVE), "door.local")
        renewed = tmp_path / "new"
        renewed.write_bytes(authority.issue(ABOVE, ["new.local"], NOW))
        renewed.replace(file)
        for _ in range(200):
            try:
                assert talk(context, authority.certificate_of(ABOVE), "new.local")
                break
            except ssl.SSLCertVerificationError:
                over.wait(0.02)
        else:
            pytest.fail("the new one is not served")
    finally:
        over.set()


@pytest.mark.parametrize(
    ("section", "link"),
    [
        ("", "http://localhost:8080/"),
        ('names = ["door.local"]\ncertificate = "c.pem"\nkey = "c.pem"', "https://door.local:8080/"),
        ('listen = "0.0.0.0:8443"\nnames = ["door.local"]\ncertificate = "c.pem"\nkey = "c.pem"', "https://door.local:8443/"),
        ('listen = "192.168.1.2:8443"\nnames = []\ncertificate = "c.pem"\nkey = "c.pem"', "https://192.168.1.2:8443/"),
        ('listen = "[fd00::7]:8443"\nnames = []\ncertificate = "c.pem"\nkey = "c.pem"', "https://[fd00::7]:8443/"),
    ],
)  # fmt: skip
def test_an_invitation_s_link_has_a_name_that_the_console_knows(tmp_path: Path, section: str, link: str):
    config = tmp_path / "facelatch.toml"
    config.write_text(f'[console]\nstate_directory = "{tmp_path}/console"\n{section}\n', encoding="utf-8")
    done = CliRunner().invoke(facelatch, ["--config", str(config), "console", "invite", "alice"])
    assert done.output.startswith(f"{link}welcome/"), done.output
