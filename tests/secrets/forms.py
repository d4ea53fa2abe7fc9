"""The forms that a cap takes in pages, mails and logs."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

from django.utils.html import escape, escapejs


def forms(cap: str) -> dict[str, str]:
    """A cap in every form, each by its name."""
    quoted = quote(cap, safe="")
    escaped = {
        "plain": cap,
        "upper case": cap.upper(),
        "in a URL": f"http://127.0.0.1:3456/uri/{cap}/name",
        "quoted": quoted,
        "quoted in lower case": quoted.replace("%3A", "%3a"),
        "quoted twice": quote(quoted, safe=""),
        "every letter quoted": "".join(f"%{ord(character):02x}" for character in cap),
        "HTML": escape(f"<{cap}>"),
        "HTML entities": cap.replace(":", "&#58;"),
        "HTML entities in hexadecimal": cap.replace(":", "&#x3A;"),
        "JSON": json.dumps({"cap": cap}),
        "JSON with escapes": cap.replace(":", "\\u003a"),
        "JavaScript": escapejs(cap).replace(":", "\\u003A"),
        "repr": repr([f"\n{cap}\n"]),
        "repr of bytes": repr(cap.encode()),
        "repr with escapes": cap.replace(":", "\\x3a"),
        "repr of a repr with escapes": cap.replace(":", "\\\\x3a"),
        "cut": cap[:-10],
    }
    encoded = {
        f"{encode.__name__} after {before}": encode(b"-" * before + cap.encode() + b".").decode()
        for before in range(4)
        for encode in (b64encode, urlsafe_b64encode)
    }
    in_urls = {f"{name} in a URL": quote(text, safe="") for name, text in encoded.items()}
    return escaped | encoded | in_urls
