"""How a client knows its gateway, and says who it is: authorities, a certificate, credentials."""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Iterable
from typing import Any

from attrs import field, frozen
from attrs.converters import optional
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates
from OpenSSL import SSL
from OpenSSL.crypto import X509, PKey
from service_identity import CertificateError, VerificationError
from service_identity.pyopenssl import verify_hostname, verify_ip_address
from twisted.internet import ssl
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from zope.interface import implementer

from txtahoe.sealing import sealed

# What OpenSSL finds wrong with a certificate (its x509_vfy.h, X509_V_ERR_…), in words.
_FAULTS = {
    9: "it is not valid yet",
    10: "it has expired",
    **dict.fromkeys((2, 7, 18, 19, 20, 21), "no authority that is trusted here has signed it"),
}
# RFC 9110, 11.4: the name of a scheme, a blank, and no control character anywhere.
_WHOLE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+ +\S[ -~]*", re.ASCII)
_LONGEST = 2**22  # bytes of a file; all authorities of a machine have some 2**18


class BadSecurity(ValueError):
    """A file or an environment variable of a `Security` is missing or of no use; says which."""


class Untrusted(Exception):
    """The certificate of a server is not good; `str()` says why."""


def _urls(given: Iterable[str] | None) -> tuple[str, ...] | None:
    return (given,) if isinstance(given, str) else None if given is None else tuple(given)


@frozen
class Security:
    """
    How a client makes sure of its gateway, and says who it is.

    `ca_file`: a PEM file with the authorities to trust; without it, the machine's are trusted.
    `client_certificate`: a PEM file with a certificate, those that lead to its authority, and its
    private key, unencrypted.
    `authorization`: where the credentials for a server before the gateway are: "file:" and a path,
    or "env:" and the name of an environment variable. There is a token, which is sent as a Bearer
    token, or `user:password`, sent as Basic, or the whole value of the header Authorization.
    `gateways`: the URLs that get the certificate and the credentials. None: every gateway to which
    a Transport is made with this.

    A client reads the files again for each connection, and the credentials for each request, so
    that others can renew them. It does so in the reactor thread: the files are small, and every
    thread of the reactor's pool could wait for this very request.

    Raises: BadSecurity if `authorization` is of another form.
    """

    ca_file: str | None = field(default=None, converter=optional(os.fspath))
    client_certificate: str | None = field(default=None, converter=optional(os.fspath))
    authorization: str | None = field(default=None, converter=optional(str))
    gateways: tuple[str, ...] | None = field(default=None, converter=_urls)

    def __attrs_post_init__(self) -> None:
        place = self.authorization
        if place is not None and not re.match("(file|env):.", place):
            # The value can be the secret itself.
            raise BadSecurity(
                "credentials are given by their place, such as 'file:/run/secrets/token' or "
                "'env:GATEWAY_TOKEN', and not by themselves"
            )

    @property
    def authorization_file(self) -> str | None:
        """The file of the credentials, if they are in one."""
        kind, _, name = (self.authorization or "").partition(":")
        return name if kind == "file" else None

    def check(self) -> None:
        """Raises: BadSecurity if anything is missing, or of no use."""
        self.handshake("localhost")
        self.headers()

    @sealed
    def headers(self) -> dict[str, str]:
        """The header for the server before a gateway. Raises: BadSecurity."""
        if self.authorization is None:
            return {}
        file, variable = self.authorization_file, self.authorization.partition(":")[2]
        where = f"the environment variable {variable!r}" if file is None else f"the file {file!r}"
        content = os.fsencode(os.environ.get(variable, "")) if file is None else _content(file)
        secret = content.decode("utf-8", "replace").strip()
        if not secret or len(secret.splitlines()) > 1:
            raise BadSecurity(f"{where} must hold one line: a token, or user:password")
        if not _WHOLE.fullmatch(secret):
            login = b64encode(secret.encode()).decode()
            secret = f"Basic {login}" if ":" in secret else f"Bearer {secret}"
        if not _WHOLE.fullmatch(secret):
            raise BadSecurity(f"{where} holds characters that no token has")
        return {"Authorization": secret}

    @sealed
    def handshake(self, host: str) -> Handshake:
        """TLS for one connection to `host`. Raises: BadSecurity."""
        trusted: Any = ssl.platformTrust()
        if self.ca_file is not None:
            authorities = map(ssl.Certificate, _certificates(self.ca_file))
            trusted = ssl.trustRootFromCertificates(authorities)
        own = None if self.client_certificate is None else _own(self.client_certificate)
        creator = ssl.optionsForClientTLS(host, trusted, extraCertificateOptions=own)
        return Handshake(host, creator)


@implementer(IOpenSSLClientConnectionCreator)
class Handshake:
    """TLS for one connection, which finds out what is wrong with a certificate."""

    def __init__(self, host: str, creator: Any) -> None:
        self._host = host
        self._creator = creator
        self._fault: str | None = None
        self._connection: SSL.Connection

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:  # noqa: N803
        self._connection = self._creator.clientConnectionForTLS(tlsProtocol)
        # In some releases of Twisted this takes the place of the check of the host.
        self._connection.set_verify(
            SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, self._note_fault
        )
        return self._connection

    def check_host(self) -> None:
        """Before anything is sent. Raises: Untrusted if the certificate is for another host."""
        is_address = isIPAddress(self._host) or isIPv6Address(self._host)
        verify = verify_ip_address if is_address else verify_hostname
        try:
            verify(self._connection, self._host)
        except (VerificationError, CertificateError):
            raise Untrusted("its certificate is for another host") from None

    def explain(self, error: SSL.Error) -> Exception:
        """OpenSSL's own errors do not tell what is wrong with a certificate."""
        return error if self._fault is None else Untrusted(self._fault)

    def _note_fault(self, _: object, __: object, fault: int, depth: int, is_good: int) -> bool:
        if not is_good:
            what = _FAULTS.get(fault, f"OpenSSL's error {fault}")
            self._fault = f"certificate verify failed: {what}"
        return bool(is_good)


def _open_at_once(file: str, flags: int) -> int:
    # A pipe into which nobody writes would stop the reactor; now it is an empty file.
    return os.open(file, flags | os.O_NONBLOCK)


def _content(file: str) -> bytes:
    try:
        with open(file, "rb", opener=_open_at_once) as opened:
            content = opened.read(_LONGEST + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no path"
        raise BadSecurity(f"the file {file!r} cannot be read: {reason}") from None
    if len(content) > _LONGEST:  # a part of it would trust a part of the authorities
        raise BadSecurity(f"the file {file!r} has more than {_LONGEST:,} bytes")
    return content


def _certificates(file: str) -> list[X509]:
    content = _content(file)
    try:
        return list(map(X509.from_cryptography, load_pem_x509_certificates(content)))
    except ValueError:
        raise BadSecurity(f"the file {file!r} holds no certificate in PEM form") from None


def _own(file: str) -> dict[str, Any]:
    """A certificate, those that lead to its authority, and its key, as CertificateOptions."""
    certificate, *chain = _certificates(file)
    content = _content(file)
    try:
        key: Any = load_pem_private_key(content, None)
        private = PKey.from_cryptography_key(key)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        raise BadSecurity(
            f"the file {file!r} holds no unencrypted private key in PEM form, of a known kind"
        ) from None
    if key.public_key() != certificate.to_cryptography().public_key():
        raise BadSecurity(f"the key in {file!r} is not that of its first certificate")
    return {"certificate": certificate, "extraCertChain": chain, "privateKey": private}
