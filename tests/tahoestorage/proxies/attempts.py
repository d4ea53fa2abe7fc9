"""Requests that the public may try, as bytes."""

from __future__ import annotations

import json
from functools import cache
from urllib.request import Request, urlopen

from attrs import frozen

from txtahoe import Cap

HOST = "files.test"
"""The site at which the attempts are made."""


@frozen
class Caps:
    """Caps of each kind, on a real grid."""

    file: str
    literal: str
    mutable: tuple[str, ...]
    directories: tuple[str, ...]

    @property
    def all(self) -> list[Cap]:
        """Each of them, with those that can be derived."""
        known = [Cap.parse(cap) for cap in (self.file, *self.mutable, *self.directories)]
        weaker = [cap for one in known for cap in (one.reader, one.verifier) if cap is not None]
        return list(dict.fromkeys([*known, *weaker]))


CONTENT = bytes(range(256)) * 4000
"""The content of the file: more than a piece of a transfer."""


@cache
def caps_on(gateway: str) -> Caps:
    """Upload one of each kind, without the code that is tested; once for a gateway."""

    def ask(method: str, query: str = "", body: bytes = b"") -> str:
        request = Request(f"{gateway}uri{query}", body, method=method)
        with urlopen(request, timeout=60) as answer:
            return str(answer.read().decode())

    file = ask("PUT", body=CONTENT)
    children = json.dumps({"child.txt": ["filenode", {"ro_uri": file}]}).encode()
    return Caps(
        file=file,
        literal=ask("PUT", body=b"forty bytes in the cap, and none elsewhere"),
        mutable=(
            ask("PUT", "?format=SDMF", b"these bytes may change"),
            ask("PUT", "?format=MDMF", b"these bytes may change too"),
        ),
        directories=(
            ask("POST", "?t=mkdir-with-children", children),
            ask("POST", "?t=mkdir&format=MDMF"),
            ask("POST", "?t=mkdir-immutable", children),
            ask("POST", "?t=mkdir-immutable", b"{}"),
        ),
    )


def attempts(caps: Caps, gateway: str) -> dict[bytes, bytes]:
    """Requests that must not reach the gateway, by their first lines."""
    every = [str(cap) for cap in caps.all]
    others = [str(cap) for cap in caps.all if cap.kind != "CHK"]
    directory = caps.directories[0]
    named = f"/named/{caps.file}"
    file = f"{named}/x.txt"
    lines = [
        # Objects other than immutable files, and files under another name.
        *(f"GET /named/{cap}/x.txt" for cap in others),
        *(f"GET /named/{prefix}{caps.file}/x.txt" for prefix in ("ro.", "imm.")),
        f"GET /named/ro.{Cap.parse(caps.mutable[0]).reader!s}/x.txt",
        f"GET {file.replace('URI:CHK', 'uri:chk')}",
        f"GET /named/{directory.lower()}/x.txt",
        f"GET {file.replace('URI', '%2555RI')}",
        f"GET {file.replace(':', '%253A')}",
        f"GET {named}x/x.txt",
        f"GET {named}:1/x.txt",
        f"GET {named};x/x.txt",
        f"GET {named}%20/x.txt",
        f"GET {named}%00/x.txt",
        f"GET /named/{caps.file[:-1]}/../{directory}/x.txt",
        f"GET /named/{caps.literal}{'a' * 88}/x.txt",
        # Other doors of the gateway.
        *(f"GET /uri/{cap}" for cap in every),
        *(f"GET /uri/{cap}?t=json" for cap in every),
        f"GET /uri/{directory}/child.txt",
        f"GET /uri?uri={caps.file}",
        f"GET /uri/?uri={caps.file}",
        f"GET /cap/{caps.file}",
        f"GET /file/{caps.file}/x.txt",
        f"GET /file/{caps.file}/@@named=/x.txt",
        "GET /",
        "GET /?t=json",
        "GET /named/",
        "GET /named",
        "GET /uri/",
        "GET /cap/",
        "GET /file/",
        "GET /status",
        "GET /status/?t=json",
        "GET /statistics?t=json",
        "GET /operations/1?output=JSON",
        "GET /helper_status",
        "GET /storage",
        "GET /tahoe.css",
        "GET /favicon.ico",
        # The file, and more.
        f"GET {named}",
        f"GET {named}/",
        f"GET {named}/a/x.txt",
        f"GET {named}/x.txt/",
        f"GET {named}/dir/..",
        f"GET {named}/..",
        f"GET {named}/.",
        f"GET {named}/%2e%2e",
        f"GET {named}/%2E.",
        f"GET {named}/@@named=/x.txt",
        f"GET {named}/a%2Fx.txt",
        f"GET {named}/a%2fx.txt",
        f"GET {named}/a%00.txt",
        f"GET {named}/a\x00.txt",
        f"GET {named}/a\x01.txt",
        f"GET /NAMED/{caps.file}/x.txt",
        # Questions.
        *(f"GET {file}?{query}" for query in ("t=json", "t=info", "t=uri", "t=readonly-uri")),
        *(f"GET {file}?{query}" for query in ("%74=json", "v=1&t=json", "v=1;t=json", "?t=json")),
        *(f"GET {file}?{query}" for query in ("t=upload", "save=true", "filename=x.html", "x=")),
        # Ways out.
        "GET /named/../status",
        f"GET {named}/../../status",
        f"GET {named}/%2e%2e/%2e%2e/status",
        f"GET {named}/..%2f..%2fstatus",
        f"GET {file}/../../../status",
        f"GET {file}/..;/..;/..;/status",
        f"GET /status?{file}",
        f"GET /status;{file}",
        f"GET /status%3F{file}",
        f"GET /status#{file}",
        f"GET /status%0A{file}",
        f"GET /status%0D%0A{file}",
        f"GET {gateway}status",
        f"GET http://{HOST}/status",
        f"GET http://{HOST}/uri/{directory}?t=json",
        f"GET file://{file}",
        f"GET named/{caps.file}/x.txt",
        # Changes.
        *(f"{method} {file}" for method in ("PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE")),
        *(f"{method} {file}" for method in ("PROPFIND", "MKCOL", "COPY", "get", "GETX", "Head")),
        f"POST {file}?t=upload",
        f"POST {file}?t=check",
        "PUT /uri",
        "POST /uri",
        "POST /uri?t=mkdir",
        "POST /named/?t=mkdir",
        f"PUT /named/{caps.mutable[0]}/x.txt",
        f"PUT /uri/{caps.mutable[0]}",
        f"PUT /uri/{directory}/new.txt",
        f"POST /uri/{directory}?t=mkdir&name=new",
        f"POST /uri/{directory}?t=unlink&name=new",
        f"DELETE /uri/{directory}/child.txt",
    ]
    made = {line.encode("latin-1"): request(line) for line in lines}
    override = "X-HTTP-Method-Override: GET"
    hidden = "Content-Type: application/x-www-form-urlencoded"
    smuggled = f"GET /status HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
    return made | {
        b"POST as GET": request(f"POST {file}", override),
        b"GET with a form": request(f"GET {file}", hidden, body="t=json"),
        b"GET with another": request(f"GET {file}", body=smuggled),
        b"GET of two minds": request(
            f"GET {file}", "Transfer-Encoding: chunked", body=f"0\r\n\r\n{smuggled}"
        ),
        b"HTTP/0.9": b"GET /status\r\n\r\n",
        b"HTTP/1.0": b"GET /status HTTP/1.0\r\n\r\n",
    }


def spellings(caps: Caps) -> list[bytes]:
    """Requests that a server may refuse, or understand as requests for the file alone."""
    file = f"/named/{caps.file}/x.txt"
    lines = [
        file.replace("URI", "%55RI"),
        file.replace("named", "%6Eamed"),
        file.replace("x.txt", "%78.txt"),
        file.replace("x.txt", "x%zz.txt"),
        file.replace("x.txt", "x y.txt"),
        file.replace("x.txt", "a\\..\\x.txt"),
        file.replace("/x.txt", "%2Fx.txt"),
        file.replace("named/", "named%2F"),
        file.replace("x.txt", "x.txt;t=json"),
        file.replace("x.txt", "x.txt#t=json"),
        file.replace("x.txt", "a/../x.txt"),
        f"/{file}",
        file.replace("/named/", "/named//"),
        f"/.{file}",
        f"/status/..{file}",
        f"/status/%2e%2e{file}",
        f"http://{HOST}{file}",
    ]
    chunks = request(
        f"GET {file}",
        "Transfer-Encoding: chunked",
        body=f"0\r\n\r\nGET /status HTTP/1.1\r\nHost: {HOST}\r\n\r\n",
        length=False,
    )
    return [*(request(f"GET {line}") for line in lines), chunks]


def request(line: str, *headers: str, body: str = "", length: bool = True) -> bytes:
    """A request to the site, after which the connection is closed."""
    if length and (body or line.startswith("P")):
        headers = (*headers, f"Content-Length: {len(body)}")
    head = [f"{line} HTTP/1.1", f"Host: {HOST}", "Connection: close", *headers]
    return ("\r\n".join(head) + f"\r\n\r\n{body}").encode("latin-1")
