"""TLS certificates, of an authority or self-signed, and a way for this process to trust one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from secrets import token_hex

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def write_certificate(file: Path) -> None:
    """Write a key and a self-signed certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("files")
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + _key_pem(key))


@contextmanager
def trusting(certificate: Path) -> Iterator[None]:
    """Trust this certificate as an authority in the `with` block."""
    before = os.environ.get("SSL_CERT_FILE")
    os.environ["SSL_CERT_FILE"] = str(certificate)
    try:
        yield
    finally:
        if before is None:
            del os.environ["SSL_CERT_FILE"]
        else:
            os.environ["SSL_CERT_FILE"] = before


class Authority:
    """
    An authority whose certificate is in `file`; with a `parent`, that has signed it.

    `now`: the time by which it signs.
    """

    def __init__(self, file: Path, parent: Authority | None = None) -> None:
        self.file = file
        self.now = datetime.now(UTC)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(f"authority {token_hex(8)}")
        own = self._sign(self._name, self._key, parent or self, is_authority=True)
        self._chain = b"" if parent is None else own + parent._chain
        file.write_bytes(own)

    def issue(self, file: Path, *addresses: str) -> Path:
        """Write a certificate for these, those that lead to its authority, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.IPAddress(ip_address(address)) for address in addresses]
        given = [x509.SubjectAlternativeName(names)] if names else []
        certificate = self._sign(_name("files"), key, self, *given, is_authority=False)
        file.write_bytes(certificate + self._chain + _key_pem(key))
        return file

    def _sign(
        self,
        name: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        signer: Authority,
        *extensions: x509.ExtensionType,
        is_authority: bool,
    ) -> bytes:
        number = x509.random_serial_number()
        builder = (
            x509.CertificateBuilder(signer._name, name, key.public_key(), number)
            .not_valid_before(self.now - timedelta(days=1))
            .not_valid_after(self.now + timedelta(days=1))
        )
        for extension in (x509.BasicConstraints(is_authority, None), *extensions):
            builder = builder.add_extension(extension, critical=False)
        certificate = builder.sign(signer._key, hashes.SHA256())
        return certificate.public_bytes(serialization.Encoding.PEM)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
