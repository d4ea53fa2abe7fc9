"""An asynchronous client of the Tahoe-LAFS web API, for Twisted."""

from txtahoe.api.client import Client
from txtahoe.api.serving import serve
from txtahoe.caps import BadCap, Cap, redact
from txtahoe.errors import TahoeError
from txtahoe.http.failover import Gateways
from txtahoe.http.sources import BlockingSource, BytesSource, Download, IteratorSource
from txtahoe.http.streams import ISource
from txtahoe.http.transport import Transport
from txtahoe.nodes import GatewayStatus, Link, Node, Server
from txtahoe.tree.tree import Tree

__all__ = [
    "BadCap",
    "BlockingSource",
    "BytesSource",
    "Cap",
    "Client",
    "Download",
    "GatewayStatus",
    "Gateways",
    "ISource",
    "IteratorSource",
    "Link",
    "Node",
    "Server",
    "TahoeError",
    "Transport",
    "Tree",
    "redact",
    "serve",
]
