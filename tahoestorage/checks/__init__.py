"""
System checks of settings and models; with `check --deploy`, also of gateways and public addresses.

Only `apps.py` imports it. Begin with `options.py`; `found.py` finds the storages that the others
check. Each message has an id that stays the same, a hint that is an instruction, and the storage as
its `obj`.
"""
