"""
One request to a gateway: what is sent, how long it may take, when it is repeated, what comes back.

Everything above may import it. Begin with `request.py` (what a request is), then `transport.py`
(one gateway) and `failover.py` (several).
"""
