"""A certificate authority of the door's own, and the certificates that it gives to the console: PEM in, PEM out.

Whoever trusts an authority trusts all that it signs, so this one binds itself (name constraints): to names inside a
house and those it was made for, and to private addresses; and to servers, as no limit of names holds for people and
mail. A thief of its key cannot stand in for somebody's bank.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from facelatch.errors import InputError

AUTHORITY_DAYS, CERTIFICATE_DAYS = 3650, 397
"""Phones refuse a certificate for much longer than a year."""

HOUSE_NAMES = ("localhost", "local", "lan", "internal", "home.arpa")
"""Names that nobody can own outside; `local` also stands for door.local."""

HOUSE_ADDRESSES = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10"),
        *("::1/128", "fc00::/7", "fe80::/10"),
    )
)

_EARLIER = timedelta(hours=1)
"""Clocks of phones are not ours."""

_FOR_SERVERS = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
"""An authority that says so vouches for nothing else: no mail, no program, nobody who signs in."""


@dataclass(frozen=True, slots=True)
class Issued:
    """What a certificate says."""

    names: tuple[str, ...]
    """Host names and addresses, as a browser asks for them."""
    until: datetime
    fingerprint: str
    """SHA-256, as phones and browsers show it."""


def new_authority(label: str, names: Collection[str], now: datetime) -> bytes:
    """Key and certificate of a new authority, called `label`, that may also vouch for `names`. Raises InputError."""
    key = ec.generate_private_key(ec.SECP256R1())
    hosts, addresses = _sorted_out(names)
    more_hosts = [host for host in hosts if not _within(host, HOUSE_NAMES)]
    more_addresses = [ipaddress.ip_network(one) for one in addresses if not _in_any(one, HOUSE_ADDRESSES)]
    permitted: list[x509.GeneralName] = [x509.DNSName(name) for name in (*HOUSE_NAMES, *more_hosts)]
    permitted += [x509.IPAddress(network) for network in (*HOUSE_ADDRESSES, *more_addresses)]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, label)])
    builder = (
        _builder(subject, subject, key.public_key(), now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(_FOR_SERVERS, critical=False)
        .add_extension(
            x509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=None), critical=True
        )
    )
    return _pem(key, builder.sign(key, hashes.SHA256()))


def issue(authority: bytes, names: Sequence[str], now: datetime) -> bytes:
    """Key, certificate and the authority's own for a console that is called by `names`, of which the first counts most.

    Raises InputError: names that are none, or that the authority may not vouch for; an authority that has ended.
    """
    signer, above = _loaded(authority)
    hosts, addresses = _sorted_out(names)
    if now + timedelta(days=CERTIFICATE_DAYS) > above.not_valid_after_utc:
        raise InputError("the authority ends before the certificate would", hint=_ANEW)
    _require_permitted(above, hosts, addresses)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(names[0])[:64])])
    alternatives: list[x509.GeneralName] = [x509.DNSName(host) for host in hosts]
    alternatives += [x509.IPAddress(address) for address in addresses]
    identifier = above.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        _builder(subject, above.subject, key.public_key(), now, CERTIFICATE_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(_FOR_SERVERS, critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
    )
    return _pem(key, builder.sign(signer, hashes.SHA256())) + certificate_of(authority)


def certificate_of(pem: bytes) -> bytes:
    """The first certificate alone, without key: what others may have. Raises InputError."""
    return _first(pem).public_bytes(serialization.Encoding.PEM)


def read(pem: bytes) -> Issued:
    """What the first certificate says. Raises InputError when there is none."""
    found = _first(pem)
    names: tuple[str, ...] = ()
    for extension in found.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            names = tuple(extension.value.get_values_for_type(x509.DNSName))
            names += tuple(str(one) for one in extension.value.get_values_for_type(x509.IPAddress))
    fingerprint = found.fingerprint(hashes.SHA256()).hex(":").upper()
    return Issued(names=names, until=found.not_valid_after_utc, fingerprint=fingerprint)


_ANEW = (
    "`facelatch console certificate NAMES --new-authority`; who trusts the old one has to trust the new one"
)


def _first(pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(pem)[0]
    except ValueError as error:
        raise InputError(
            f"no certificate in it: {error}", hint="`facelatch console certificate` makes one"
        ) from error


def _loaded(pem: bytes) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise InputError(f"the authority has no key that can be read: {error}", hint=_ANEW) from error
    above = _first(pem)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != above.public_key():
        raise InputError("the authority's key is not that of its certificate", hint=_ANEW)
    return key, above


def _sorted_out(
    names: Collection[str],
) -> tuple[list[str], list[ipaddress.IPv4Address | ipaddress.IPv6Address]]:
    """Host names, lower case, and addresses."""
    hosts, addresses = [], []
    for name in names:
        try:
            addresses.append(ipaddress.ip_address(name))
        except ValueError:
            if (
                not name
                or any(not (c.isascii() and (c.isalnum() or c in ".-")) for c in name)
                or name[0] in ".-"
            ):
                raise InputError(
                    f"{name!r} is neither a host name nor an address", hint="door.local"
                ) from None
            hosts.append(name.lower())
    return hosts, addresses


def _within(host: str, domains: Iterable[str]) -> bool:
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)


def _in_any(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
    networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network],
) -> bool:
    return any(address in network for network in networks)


def _require_permitted(
    above: x509.Certificate,
    hosts: Sequence[str],
    addresses: Sequence[ipaddress.IPv4Address | ipaddress.IPv6Address],
) -> None:
    limits = above.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees or []
    domains = [one.value for one in limits if isinstance(one, x509.DNSName)]
    networks = [ipaddress.ip_network(one.value) for one in limits if isinstance(one, x509.IPAddress)]
    outside = [host for host in hosts if not _within(host, domains)]
    outside += [str(one) for one in addresses if not _in_any(one, networks)]
    if outside:
        raise InputError(f"the authority was not made for {', '.join(outside)}", hint=_ANEW)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> bytes:
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return secret + certificate.public_bytes(serialization.Encoding.PEM)
