"""
One request to a gateway: its body, deadline, repeats and answer.

Everything above may import it. Read `request.py` first (what a request is), then `transport.py`
(one gateway: time-outs, pauses before repeats) and `failover.py` (several). `connections.py` and
`security.py` tell how a gateway is reached, and what it is told of the client.
"""
