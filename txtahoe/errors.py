"""The errors of a grid: each an OSError, and of the built-in kind that fits."""

from __future__ import annotations

import errno
import html
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from copy import copy
from typing import Any, ClassVar, TypeVar

from txtahoe.caps import redact

E = TypeVar("E", bound=BaseException)


class TahoeError(OSError):
    """
    The base of all errors of txtahoe. Its text never holds a cap, only fingerprints.

    `transient` is true if the same request may succeed later without a repair.
    Of some classes only some errors are: the gateway's words tell.
    """

    code: ClassVar[int] = errno.EIO
    transient: bool = False

    def __init_subclass__(cls, code: int | None = None, transient: bool | None = None) -> None:
        cls.code = cls.code if code is None else code
        cls.transient = cls.transient if transient is None else transient

    def __init__(self, message: str) -> None:
        super().__init__(self.code, redact(message))

    def __str__(self) -> str:
        # A caller may set `filename`, as the storage does.
        return f"{self.filename!r}: {self.strerror}" if self.filename else str(self.strerror)

    def __reduce__(self) -> tuple[Any, ...]:
        # OSError would rebuild itself from (errno, text), but __init__ takes the text alone.
        return type(self), (self.strerror,), self.__dict__


class GatewayUnreachable(
    TahoeError, ConnectionRefusedError, code=errno.ECONNREFUSED, transient=True
):
    """The client could not connect to the gateway, and sent nothing."""


class GatewayRefused(GatewayUnreachable):
    """The gateway's host refused the connection: nothing listens at that address."""


class NotSecure(GatewayUnreachable, transient=False):
    """
    The client could not make a TLS connection, because the certificate is not valid, say; or a file
    or the credentials of its `Security` are missing. It sent nothing.
    """


class NoWriter(GatewayUnreachable):
    """Another gateway takes over the changes, or the client can't find out which one makes them."""


class ClientClosed(TahoeError, ConnectionAbortedError, code=errno.ECONNABORTED):
    """The client is closed, and makes no request any more."""


class AnswerLost(TahoeError, ConnectionResetError, code=errno.ECONNRESET, transient=True):
    """The connection broke after the client sent the request. The gateway may have done it."""


class RequestTimeout(TahoeError, TimeoutError, code=errno.ETIMEDOUT):
    """A request made no progress for as long as its deadline allows."""


class NotAGateway(TahoeError, code=errno.EPROTO):
    """The server at the gateway's address does not answer as a Tahoe-LAFS gateway does."""


class GatewayError(TahoeError):
    """The gateway answered that it failed, for a reason that has no class of its own here."""


class GatewayBusy(GatewayError, transient=True):
    """A proxy before the gateway answered 502, 503 or 504."""


class BadRequest(TahoeError, code=errno.EINVAL):
    """The gateway refused the request's arguments."""


class NotAuthorized(TahoeError, PermissionError, code=errno.EACCES):
    """A server before the gateway refused the client: its credentials are wrong or missing."""


class Prohibited(TahoeError, PermissionError, code=errno.EACCES):
    """The gateway's operator has blacklisted the file."""


class NotWriteable(TahoeError, PermissionError, code=errno.EACCES):
    """A write through a cap that gives no right to write."""


class NoSuchChild(TahoeError, FileNotFoundError, code=errno.ENOENT):
    """A directory that could be read has no child of this name."""


class ExistingChild(TahoeError, FileExistsError, code=errno.EEXIST):
    """
    The name is taken, and the request was not to replace it.

    `names`: those of one write that were taken when the client read the directory back.
    """

    names: frozenset[str] = frozenset()


# FileExistsError too: Django's FileSystemStorage and InMemoryStorage raise it if a file stands in
# the place of a directory.
class NotADirectory(TahoeError, NotADirectoryError, FileExistsError, code=errno.ENOTDIR):
    """A file stands in the place of a directory."""


class IsADirectory(TahoeError, IsADirectoryError, code=errno.EISDIR):
    """A directory stands in the place of a file."""


class DirectoryNotEmpty(TahoeError, code=errno.ENOTEMPTY):
    """The caller wanted to remove a directory that still has children."""


class FileTooLarge(TahoeError, code=errno.EFBIG):
    """The file is larger than its format allows."""


class Unrecoverable(TahoeError, transient=True):
    """Too few shares are within reach now. Unavailable is not missing: they may come back."""


class NotEnoughServers(TahoeError):
    """
    Too few storage servers are within reach to place the shares, or they are full.

    It is transient if servers say that they are full, or shares are not spread evenly: both also
    happen while somebody uploads the same bytes at this moment.
    """


class UncoordinatedWrite(TahoeError, code=errno.EBUSY):
    """Another gateway wrote the same mutable object at the same time."""


class UnknownOutcome(TahoeError):
    """The gateway may have made a change, or not, and reading back could not tell."""


class IncompleteDownload(TahoeError):
    """A download broke off and cannot go on. The bytes that it has handed out are right."""


class SomeFailed(TahoeError):
    """
    Some of many operations failed; the others succeeded.

    `results`: of each operation, in the order of the question, its result or its exception.
    """

    def __init__(self, message: str, results: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.results = list(results)

    @property
    def errors(self) -> list[Exception]:
        """The exceptions among the results."""
        return [result for result in self.results if isinstance(result, Exception)]


def another(error: E) -> E:
    """A copy of an error for another caller: each adds a traceback and perhaps a file name."""
    return copy(error) if isinstance(error, TahoeError) else error


_BY_EXCEPTION: dict[str, type[TahoeError]] = {
    "EmptyPathnameComponentError": BadRequest,
    "ExistingChildError": ExistingChild,
    "FileProhibited": Prohibited,
    "FileTooLargeError": FileTooLarge,
    "MustBeDeepImmutableError": BadRequest,
    "MustBeReadonlyError": BadRequest,
    "MustNotBeUnknownRWError": BadRequest,
    "NoServersError": NotEnoughServers,
    "NoSharesError": Unrecoverable,
    "NoSuchChildError": NoSuchChild,
    "NotEnoughServersError": NotEnoughServers,
    "NotEnoughSharesError": Unrecoverable,
    "NotWriteableError": NotWriteable,
    "UncoordinatedWriteError": UncoordinatedWrite,
    "UnrecoverableFileError": Unrecoverable,
    "UploadUnhappinessError": NotEnoughServers,
}

_BY_STATUS: dict[int, type[TahoeError]] = {
    400: BadRequest,
    401: NotAuthorized,
    403: NotAuthorized,
    407: NotAuthorized,
    409: ExistingChild,
    410: Unrecoverable,
    413: FileTooLarge,
    500: GatewayError,
    502: GatewayBusy,
    503: GatewayBusy,
    504: GatewayBusy,
}

_RAISED = re.compile(
    r"^(?:Failure: )?(?:allmydata\.[\w.]+\.)?(\w+(?:Error|Prohibited))(?:: ?(?:\(['\"])?(.*))?$",
    re.M,
)
# The last line of a traceback, whatever was raised.
_ENDED = re.compile(r"^(?:Failure: )?([A-Za-z_][\w.]*)(?:: ?(.*))?$", re.M)
# UploadUnhappinessError begins with it, before it comes to the point.
_SELECTOR = re.compile(r"server selection failed for <[^>]*>: ")
# The rest of a message after one of these is long, and tells nothing for sure.
_GUESSES = re.compile(
    r" This might indicate that no servers were connected|\), merged=|, last failure was: "
)
# An upload of the same bytes at the same moment is enough for either of these.
_PASSING = re.compile(
    r"of which [1-9]\d* placed none due to the server being full|not spread out evenly enough"
)
# In characters: the part of an answer, and of a page with markup, that is searched.
_TEXT_LIMIT = 2**16
_PAGE_LIMIT = 2**14
# In characters: the longest reason in a message.
_REASON_LIMIT = 500
_MARKUP = re.compile(r"<(style|script|title|h1).*?</\1>|<[^>]*>", re.S | re.I)


def error_for(status: int, body: bytes | str, doing: str) -> TahoeError:
    """
    The error for an answer. `doing` describes the attempt, for the message.

    The classes follow `humanize_exception` in Tahoe-LAFS's `allmydata.web.common`: a known status
    for some exceptions, and 500 with a traceback, whose last line names the class, for the others.
    """
    text = body if isinstance(body, str) else body.decode("utf-8", "replace")
    text = _plain(text[:_TEXT_LIMIT])
    if status == 404:
        # Tahoe says which child is missing. Another server's 404 is no missing file.
        start, child, name = text.partition("No such child")
        if not child or start:
            brief = _brief(text)
            return NotAGateway(f"{doing}: HTTP 404, and not from a Tahoe-LAFS gateway: {brief}")
        return NoSuchChild(f"{doing}: no such file or directory: {_brief(name.lstrip(': '))!r}")
    name, reason = _raised(text)
    kind = _BY_EXCEPTION.get(name) or _BY_STATUS.get(status, NotAGateway)
    if status == 403 and "Access Prohibited" in text:  # Tahoe says so
        kind = Prohibited
    if kind is NotAuthorized or (status == 400 and "SSL certificate" in text):  # nginx says so
        doing = f"{doing}: a server before the gateway refuses this client"
        kind = NotAuthorized
    error = kind(f"{doing}: HTTP {status}: {name + ': ' if name else ''}{_brief(reason)}")
    if kind is NotEnoughServers and _PASSING.search(reason):
        error.transient = True
    return error


def _raised(text: str) -> tuple[str, str]:
    """
    The class and the words of the exception that an answer tells of; "" and the text if none.

    A message may hold whole tracebacks of other exceptions: the last one that is known counts.
    """
    found = [(match[1], match[2] or "") for match in _RAISED.finditer(text)]
    known = [raised for raised in found if raised[0] in _BY_EXCEPTION]
    if not found and text.startswith("Traceback"):
        found = [(match[1], match[2] or "") for match in _ENDED.finditer(text)]
    return [("", text), *found, *known][-1]


def _plain(body: str) -> str:
    if body.startswith('{"error":'):
        with suppress(ValueError, TypeError, KeyError, RecursionError):
            return str(json.loads(body)["error"]).strip()
    # Only at the start: a traceback may quote the page of a storage server.
    if not body.lstrip().startswith("<"):
        return body.strip()
    return " ".join(html.unescape(_MARKUP.sub(" ", body[:_PAGE_LIMIT])).split())


def _brief(text: str) -> str:
    first = _GUESSES.split(_SELECTOR.sub("", text.strip().partition("\n\n")[0]))[0]
    # Redacted before it is cut: half a cap is no longer recognised as one.
    first = redact(" ".join(first.split()))
    return first if len(first) <= _REASON_LIMIT else first[:_REASON_LIMIT] + " …"
