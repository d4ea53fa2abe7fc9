"""
Names with caps in the URLs of a site that serves its files.

They are sealed: no URL shows a cap, and nobody can make the URL of a file that the site has not.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from django.conf import settings
from django.utils.crypto import salted_hmac

from txtahoe.capnames.names import CapName
from txtahoe.caps import Cap
from txtahoe.sealing import sealed

# At least as long as the shortest cap becomes.
_SEALED = re.compile(r"[\w-]{32,}", re.ASCII)


@sealed
def seal(name: CapName, place: str) -> str:
    """
    The name with a word in the place of the cap, always the same one.

    `place`: the storage; at others the word leads nowhere.
    """
    bound = _bound(place, name.directory, name.file)
    box = next(_boxes()).encrypt(str(name.cap).encode(), bound)
    word = urlsafe_b64encode(box).rstrip(b"=").decode()
    return "/".join([*([name.directory] if name.directory else []), word, name.file])


@sealed
def unseal(text: str, place: str) -> CapName | None:
    """The name that was sealed; None for any other text."""
    above, _, file = text.rpartition("/")
    directory, _, word = above.rpartition("/")
    if not _SEALED.fullmatch(word) or len(word) % 4 == 1:
        return None
    box = urlsafe_b64decode(word + "=" * (-len(word) % 4))
    for key in _boxes():
        try:
            cap = key.decrypt(box, _bound(place, directory, file))
        except InvalidTag:
            continue
        return CapName(directory, Cap.parse(cap), file)
    return None


def _bound(*texts: str) -> list[bytes]:
    return [text.encode() for text in texts]


def _boxes() -> Iterator[AESSIV]:
    """The ciphers of the site's secret keys; the first one seals new names."""
    return map(_box, [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS])


@lru_cache(maxsize=8)
def _box(secret: str | bytes) -> AESSIV:
    salt = "tahoestorage.sealednames"
    return AESSIV(salted_hmac(salt, "", secret=secret, algorithm="sha512").digest())
