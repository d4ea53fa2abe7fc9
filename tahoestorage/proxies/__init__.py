"""Configurations of web servers that let the public read files by read cap, and nothing else."""

from __future__ import annotations

import re
from importlib.resources import files
from string import Template
from urllib.parse import urlsplit

from txtahoe.caps import redact

SERVERS = ("nginx", "apache", "lighttpd")

# A regular expression for the URLs that the servers pass on. All three read it in the same way: it
# has no backslash and no quotation mark. They compare it with the URL that they pass on, and not
# with a decoded one, so that nobody can spell one thing and mean another.
_COLON = "(?::|%3[Aa])"
_CHK = _COLON.join(
    ["CHK", "[a-z2-7]{26}", "[a-z2-7]{52}", "[0-9]{1,3}", "[0-9]{1,3}", "[0-9]{1,20}"]
)
_LIT = f"LIT{_COLON}[a-z2-7]{{0,88}}"  # Tahoe-LAFS makes them of up to 55 bytes
# A file's name is one segment (RFC 3986, 3.3), without a slash or a NUL in disguise, and not of
# dots alone. With the second plus, a server tries no shorter names: for a long one it would run
# out of memory.
_CHARACTER = "(?:[A-Za-z0-9_~!$&'()*+,:;=@-]|%(?!00|2[EeFf])[0-9A-Fa-f]{2})"
_FILE = f"/named/URI{_COLON}(?:{_CHK}|{_LIT})/[.]*(?:{_CHARACTER}[.]*)++"
# Style sheets refer to fonts as `name.woff?v=1.2` and `name.eot?#fix`. It goes no further.
_QUERY = "(?:[?](?:v=)?[A-Za-z0-9_.-]*)?"

_HOST = "[A-Za-z0-9_-]+(?:[.][A-Za-z0-9_-]+)*"
_ADDRESS = r"\[[0-9A-Fa-f:.]+\]"
_PORT = (  # from 1 to 65535
    "(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
)


# The form of each value, as a pattern and in words. A server could read another form as several
# words.
_FORMS = {
    "server_name": (_HOST, "the name of a host, such as 'files.example.com'"),
    "gateway": (
        f"http://(?:{_HOST}|{_ADDRESS})(?::{_PORT})?/?|unix:(?://)?(?:/[A-Za-z0-9._~-]+)+",
        "the web address of a gateway, such as 'http://127.0.0.1:3456/', without a path, or its "
        "socket, such as 'unix:/run/tahoe/gateway.sock'",
    ),
    "prefix": ("(?:/[A-Za-z0-9._~-]+)*/?", "a path of letters, digits and '._~-'"),
    "listen": (f"(?:(?:{_HOST}|{_ADDRESS}):)?{_PORT}", "a port, or an address and a port"),
}


def configuration(server: str, server_name: str, gateway: str, prefix: str, listen: str) -> str:
    """
    The site of one of `SERVERS` through which the public reads files from a gateway.

    `prefix`: the path of the public's base URL. Raises: ValueError for a value of another form.
    """
    given = {"server_name": server_name, "gateway": gateway, "prefix": prefix, "listen": listen}
    for name, value in given.items():
        pattern, form = _FORMS[name]
        if re.fullmatch(pattern, value) is None:
            raise ValueError(f"{redact(repr(value))} is not {form}")
    server_name = server_name.lower()  # lighttpd compares with it
    parts = urlsplit(gateway)
    if parts.scheme == "unix":
        upstream, backend = f"unix:{parts.path}", f'"socket" => "{parts.path}"'
        url = f"{upstream}|http://localhost"
    else:
        port = parts.port or 80
        upstream = parts.netloc if parts.port else f"{parts.netloc}:{port}"
        backend = f'"host" => "{parts.hostname}", "port" => {port}'
        url = f"http://{upstream}"
    has_address = ":" in listen
    path = prefix.rstrip("/").replace(".", "[.]")
    template = files(__package__).joinpath(f"{server}.conf").read_text()
    return _Configuration(template).substitute(
        name="tahoe_" + re.sub("[^a-z0-9]", "_", server_name),
        server_name=server_name,
        upstream=upstream,
        gateway=url,
        backend=backend,
        listen=listen,
        also_listen="" if has_address else f"\n    listen [::]:{listen};",
        address=listen if has_address else f"*:{listen}",
        file=f"{path}({_FILE}){_QUERY}",
    )


class _Configuration(Template):
    delimiter = "%%"  # a dollar means something to all three
