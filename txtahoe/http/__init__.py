"""
One request to a gateway: what is sent, how long it may take, and what comes back or goes wrong.

Everything above may import it. Begin with `request.py` (what a request is), then `transport.py`
(one gateway) and `failover.py` (several).
"""
