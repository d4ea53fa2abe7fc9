"""
The configuration of a site: the options of its storages, and the settings behind them.

Any module of `tahoestorage` may import it, as `from tahoestorage import conf`. Begin with
`options.py`, the table of all options. `basecap.py` finds the cap and hides it; `connection.py`
reads everything else.
"""

from tahoestorage.conf.basecap import (
    CapMissing,
    CapNotText,
    base_cap,
    cap_file,
    hidden,
    hide_caps,
    written_cap,
    written_down,
)
from tahoestorage.conf.connection import (
    Connection,
    address,
    base_url,
    cache,
    connection,
    fanout,
    gateways,
    location,
    numbers,
    signed_urls,
    writer,
)
from tahoestorage.conf.options import (
    OPTIONS,
    SETTINGS,
    Option,
    Options,
    checked,
    unknown_options,
    value,
    where,
)

__all__ = [
    "OPTIONS",
    "SETTINGS",
    "CapMissing",
    "CapNotText",
    "Connection",
    "Option",
    "Options",
    "address",
    "base_cap",
    "base_url",
    "cache",
    "cap_file",
    "checked",
    "connection",
    "fanout",
    "gateways",
    "hidden",
    "hide_caps",
    "location",
    "numbers",
    "signed_urls",
    "unknown_options",
    "value",
    "where",
    "writer",
    "written_cap",
    "written_down",
]
