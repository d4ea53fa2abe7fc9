"""
Gateways for tests: one in memory (`fake`), and a real grid of processes on loopback (`grid`).

Users import it in their tests. It imports nothing of the client but caps. Begin with `grid.py`, or
with `fake/gateway.py`.
"""
