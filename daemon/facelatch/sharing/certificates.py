"""Certificates of a fleet: an authority of its own, one certificate for the broker and one for each member."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

YEARS = 20
"""Doors stand for long, and many have no right clock before they reach somebody. Revoking ends a certificate."""

Pem = tuple[str, str]
"""A certificate and its private key, both PEM."""


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(subject: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + timedelta(days=365 * YEARS))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def authority(fleet: str) -> Pem:
    """The certificate of a new authority, which vouches for itself."""
    key, name = ec.generate_private_key(ec.SECP256R1()), f"Facelatch fleet {fleet[:8]}"
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    made = (
        _builder(name, _name(name), key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, SHA256())
    )
    return _pem(made, key)


def client(vouching: Pem, name: str) -> Pem:
    """The certificate of a member, whose common name is its name at the broker."""
    return _issued(vouching, name, ExtendedKeyUsageOID.CLIENT_AUTH, ())


def server(vouching: Pem, hosts: Sequence[str]) -> Pem:
    """The certificate of the broker, which is reached by these names and addresses."""
    return _issued(vouching, "broker", ExtendedKeyUsageOID.SERVER_AUTH, hosts)


def _issued(vouching: Pem, name: str, use: x509.ObjectIdentifier, hosts: Sequence[str]) -> Pem:
    issuer, issuing = _loaded(vouching)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(name, issuer.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuing.public_key()), critical=False)
    )
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName(map(_host, hosts)), critical=False)
    return _pem(builder.sign(issuing, SHA256()), key)


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def revocations(vouching: Pem, certificates: Iterable[str]) -> str:
    """The list (PEM) of certificates that count no more."""
    issuer, issuing = _loaded(vouching)
    now = datetime.now(UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(now - timedelta(days=2))
        .next_update(now + timedelta(days=365 * YEARS))
    )
    for certificate in certificates:
        serial = x509.load_pem_x509_certificate(certificate.encode()).serial_number
        gone = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - timedelta(days=1)).build()
        builder = builder.add_revoked_certificate(gone)
    return builder.sign(issuing, SHA256()).public_bytes(Encoding.PEM).decode()


def _loaded(vouching: Pem) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    certificate, key = vouching
    private = load_pem_private_key(key.encode(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    return x509.load_pem_x509_certificate(certificate.encode()), private


def _pem(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pem:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM).decode(), private.decode()
