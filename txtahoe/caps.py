"""Capability strings as values.

Formats and derivations follow Tahoe-LAFS's `docs/specifications/uri.rst` and `allmydata.uri`, which
is not imported.
"""

import base64
import operator
import re
import string
from collections.abc import Callable
from hashlib import sha256
from typing import NoReturn, final
from urllib.parse import unquote

from attrs import field, frozen

# Only some characters can be the last, so that a value has one spelling.
_CHARACTER = "[a-z2-7]"
_KEY = f"({_CHARACTER}{{25}}[aqiyemu4])"
_HASH = f"({_CHARACTER}{{51}}[aq])"
_BYTES = (
    f"((?:{_CHARACTER}{{8}})*(?:{_CHARACTER}[aqiyemu4]|{_CHARACTER}{{3}}[aq]"
    f"|{_CHARACTER}{{4}}[aqiyemu4cgkosw26]|{_CHARACTER}{{6}}[aqiy])?)"
)
_NUMBER = "0*([0-9]{1,20})"

# The text after the kind; its canonical spelling is the groups, joined by colons.
_CHK = re.compile(":".join([_KEY, _HASH, _NUMBER, _NUMBER, _NUMBER]))
_LIT = re.compile(_BYTES)
_SSK = re.compile(f"{_KEY}:{_HASH}")
_MDMF = re.compile(f"{_KEY}:{_HASH}(?::.*)?")

# A cap, or a piece of one, within other text; also as it stands in a URL.
_WITHIN = re.compile(r"URI(?::|%3A)[\w-]+(?:(?::|%3A)[\w-]*)*", re.IGNORECASE | re.ASCII)

_SHAPE = re.compile(r"(?=[!-~]+\Z)(ro\.|imm\.)?(?:URI:([^:]*):)?(.*)")


@frozen
class _Kind:
    fields: re.Pattern[str]
    reader: str | None
    verifier: str | None


_KINDS = {
    "CHK": _Kind(_CHK, "CHK", "CHK-Verifier"),
    "CHK-Verifier": _Kind(_CHK, None, "CHK-Verifier"),
    "LIT": _Kind(_LIT, "LIT", None),
    "SSK": _Kind(_SSK, "SSK-RO", "SSK-Verifier"),
    "SSK-RO": _Kind(_SSK, "SSK-RO", "SSK-Verifier"),
    "SSK-Verifier": _Kind(_SSK, None, "SSK-Verifier"),
    "MDMF": _Kind(_MDMF, "MDMF-RO", "MDMF-Verifier"),
    "MDMF-RO": _Kind(_MDMF, "MDMF-RO", "MDMF-Verifier"),
    "MDMF-Verifier": _Kind(_MDMF, None, "MDMF-Verifier"),
    "DIR2": _Kind(_SSK, "DIR2-RO", "DIR2-Verifier"),
    "DIR2-RO": _Kind(_SSK, "DIR2-RO", "DIR2-Verifier"),
    "DIR2-Verifier": _Kind(_SSK, None, "DIR2-Verifier"),
    "DIR2-MDMF": _Kind(_MDMF, "DIR2-MDMF-RO", "DIR2-MDMF-Verifier"),
    "DIR2-MDMF-RO": _Kind(_MDMF, "DIR2-MDMF-RO", "DIR2-MDMF-Verifier"),
    "DIR2-MDMF-Verifier": _Kind(_MDMF, None, "DIR2-MDMF-Verifier"),
    "DIR2-CHK": _Kind(_CHK, "DIR2-CHK", "DIR2-CHK-Verifier"),
    "DIR2-CHK-Verifier": _Kind(_CHK, None, "DIR2-CHK-Verifier"),
    "DIR2-LIT": _Kind(_LIT, "DIR2-LIT", None),
}
_UNKNOWN = _Kind(re.compile(".*"), None, None)


class BadCap(ValueError):
    """A string that is no cap, or a cap without the right that is needed. It shows neither."""


def _hide(text: str) -> Callable[[], str]:
    """Keep `text` where `attrs.asdict`, `json`, `pprint` and the like do not find it."""
    return lambda: text


@final
@frozen
class Cap:
    """A capability: the name of a file or directory and, at once, the authority over it.

    `parse` makes caps; they are equal if their canonical strings are. `str(cap)` is the only way to
    that string: `repr`, `format` and f-strings show kind and fingerprint, and pickling is refused.
    Beware of `%s`, in `logging` too: it calls `str`. Write `%r`.
    """

    kind: str
    """The word after `URI:`, for example "CHK", "DIR2-RO"; "unknown" for a format of the future."""
    _text: Callable[[], str] = field(converter=_hide, eq=operator.call)

    @staticmethod
    def parse(text: str | bytes) -> "Cap":
        """Read a cap; ASCII whitespace around it is dropped.

        A prefix `ro.` or `imm.` (read-only, deeply immutable) is dropped from a cap of a known kind
        that keeps the promise. Unknown caps stay as they are. Extensions of MDMF caps are dropped.

        Raises: BadCap for anything but one word of printable ASCII, for malformed fields of a known
        kind, and for a cap that breaks the promise of its prefix.
        """
        if not isinstance(text, str | bytes):
            raise TypeError(f"a cap is str or bytes, not {type(text).__name__}")
        found = _read(text)
        # Error pages and captured tracebacks show the variables of the frame that raises.
        del text
        if isinstance(found, str):
            raise BadCap(found)
        return found

    def __str__(self) -> str:
        return self._text()

    def __repr__(self) -> str:
        return f"<Cap {self.kind} {self.fingerprint}>"

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Cap is authority and is not pickled; if you mean it, pickle str(cap)")

    def __deepcopy__(self, memo: object = None) -> "Cap":
        return self

    __copy__ = __deepcopy__

    @property
    def _rule(self) -> _Kind:
        return _KINDS.get(self.kind, _UNKNOWN)

    @property
    def is_known(self) -> bool:
        """Whether this module knows the kind. An unknown cap has none of the other properties."""
        return self.kind in _KINDS

    @property
    def is_mutable(self) -> bool:
        """Whether the object can change. False for verify caps, as in `allmydata.uri`."""
        return self.is_readable and self._rule.fields in (_SSK, _MDMF)

    @property
    def is_writable(self) -> bool:
        """Whether this cap gives the right to change the object."""
        return self.is_readable and self._rule.reader != self.kind

    @property
    def is_readable(self) -> bool:
        """Whether this cap gives the right to read the object."""
        return self._rule.reader is not None

    @property
    def is_verifier(self) -> bool:
        """Whether this cap gives the right to check shares, and no more."""
        return self._rule.verifier == self.kind

    @property
    def is_directory(self) -> bool:
        """Whether this cap, of any right, names a directory."""
        return self.is_known and self.kind.startswith("DIR2")

    @property
    def is_file(self) -> bool:
        """Whether this cap, of any right, names a file."""
        return self.is_known and not self.is_directory

    @property
    def size(self) -> int | None:
        """Size in bytes of an immutable file; None if the cap does not tell it."""
        if self.literal is not None:
            return len(self.literal)
        return int(self._fields[-1]) if self.kind in ("CHK", "CHK-Verifier") else None

    @property
    def literal(self) -> bytes | None:
        """The contents of a LIT file, which are in the cap itself; None for every other kind."""
        return _base32_decode(self._fields[0]) if self.kind == "LIT" else None

    @property
    def reader(self) -> "Cap":
        """The read-only form; immutable caps are their own. `BadCap` for caps that cannot read."""
        reader = self._rule.reader
        if reader is None:
            raise BadCap(f"{self!r} cannot read; a read cap or a write cap is needed here")
        if reader == self.kind:
            return self
        return self._weaken(reader, b"allmydata_mutable_writekey_to_readkey_v1")

    @property
    def verifier(self) -> "Cap | None":
        """The form that only checks shares; None for LIT and DIR2-LIT, which have no shares."""
        verifier = self._rule.verifier
        if verifier is None or verifier == self.kind:
            return self if verifier else None
        if self.is_mutable:
            return self.reader._weaken(verifier, b"allmydata_mutable_readkey_to_storage_index_v1")
        return self._weaken(verifier, b"allmydata_immutable_key_to_storage_index_v1")

    @property
    def storage_index(self) -> str | None:
        """The base32 name of the share files; None if there are no shares."""
        return self.verifier._fields[0] if self.verifier else None

    @property
    def fingerprint(self) -> str:
        """Twelve characters that tell caps apart and open nothing; another for each right."""
        return base32(_tagged_hash(b"txtahoe_cap_fingerprint_v1", str(self).encode()))[:12]

    def names_same(self, other: "Cap") -> bool:
        """Whether both caps name the same object, whatever rights they give to it."""
        return (self.verifier or self) == (other.verifier or other)

    @property
    def _fields(self) -> list[str]:
        return str(self).split(":")[2:]

    def _weaken(self, kind: str, tag: bytes) -> "Cap":
        key, *others = self._fields
        weaker = base32(_tagged_hash(tag, _base32_decode(key))[:16])
        return Cap(kind, ":".join(["URI", kind, weaker, *others]))


def require_cap(value: object) -> None:
    """Raises: TypeError if it is no Cap; the text of one is none."""
    if not isinstance(value, Cap):
        raise TypeError(f"a Cap is needed, not {type(value).__name__}: Cap.parse(…) makes one")


def redact(text: str) -> str:
    """`text` with every cap of the form `URI:…` in it replaced by its `repr`."""
    return _WITHIN.sub(_redacted, text)


def _redacted(match: re.Match[str]) -> str:
    found = _read(unquote(match[0]))
    return repr(found) if isinstance(found, Cap) and found.is_known else "<Cap>"


def _read(text: str | bytes) -> Cap | str:
    """The cap, or the reason why it is none: this frame knows the text, so it must not raise."""
    if isinstance(text, bytes):
        text = text.decode("ascii", "replace")
    text = text.strip(string.whitespace)
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        return "a cap is one word of printable ASCII; this is empty or something else"
    prefix, kind, rest = shape.groups()
    if kind not in _KINDS:
        return Cap("unknown", text)
    fields = _KINDS[kind].fields.fullmatch(rest)
    if fields is None:
        return f"the fields of this {kind} cap are malformed; copy the whole cap again"
    cap = Cap(kind, ":".join(["URI", kind, *fields.groups()]))
    if (prefix and cap.is_writable) or (prefix == "imm." and cap.is_mutable):
        return f"this {kind} cap gives more than its prefix {prefix!r} says"
    return cap


def base32(data: bytes) -> str:
    """Bytes as caps spell them: in lower case, without padding."""
    return base64.b32encode(data).decode().rstrip("=").lower()


def _base32_decode(text: str) -> bytes:
    return base64.b32decode(text.upper() + "=" * (-len(text) % 8))


def _tagged_hash(tag: bytes, value: bytes) -> bytes:
    netstring = b"%d:%s," % (len(tag), tag)
    return sha256(sha256(netstring + value).digest()).digest()
