"""An asynchronous client of the Tahoe-LAFS web API, for Twisted."""

from txtahoe.bodies import BlockingSource, BytesSource, Download, IteratorSource
from txtahoe.caps import BadCap, Cap, redact
from txtahoe.client import Client
from txtahoe.errors import TahoeError
from txtahoe.gateways import Gateways
from txtahoe.nodes import GatewayStatus, Link, Node, Server
from txtahoe.serving import serve
from txtahoe.streams import ISource
from txtahoe.transport import Transport
from txtahoe.tree import Tree

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
