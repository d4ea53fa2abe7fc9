"""
An asynchronous client of the Tahoe-LAFS web API, for Twisted.

The names in `__all__` are public; so are `txtahoe.errors`, `txtahoe.maintenance` and
`txtahoe.testing`. The folders, from the top: `maintenance` and `capnames` (whole trees), `tree`
(names below a root), `api` (one method for each operation), `http` (one request). A folder imports
from those below it only. Read `tree/tree.py` first; `docs/inside.md` tells how it works.
"""

from txtahoe.api.checking import Walk
from txtahoe.api.client import Client
from txtahoe.api.download import Download
from txtahoe.api.reports import CheckReport, Entry
from txtahoe.api.service import TahoeService
from txtahoe.api.serving import serve
from txtahoe.caps import BadCap, Cap, redact
from txtahoe.contentcache import ContentCache
from txtahoe.errors import SomeFailed, TahoeError
from txtahoe.http.events import Event
from txtahoe.http.failover import Gateways
from txtahoe.http.security import Security
from txtahoe.http.sources import BlockingSource, BytesSource, ISource, IteratorSource, in_threads
from txtahoe.http.terms import Terms, asking
from txtahoe.http.transport import Transport
from txtahoe.nodes import GatewayStatus, Link, Node, Server
from txtahoe.tree.arrival import Arrival
from txtahoe.tree.paths import split
from txtahoe.tree.spread.states import Fanout
from txtahoe.tree.tree import Tree

__all__ = [
    "Arrival",
    "BadCap",
    "BlockingSource",
    "BytesSource",
    "Cap",
    "CheckReport",
    "Client",
    "ContentCache",
    "Download",
    "Entry",
    "Event",
    "Fanout",
    "GatewayStatus",
    "Gateways",
    "ISource",
    "IteratorSource",
    "Link",
    "Node",
    "Security",
    "Server",
    "SomeFailed",
    "TahoeError",
    "TahoeService",
    "Terms",
    "Transport",
    "Tree",
    "Walk",
    "asking",
    "in_threads",
    "redact",
    "serve",
    "split",
]
