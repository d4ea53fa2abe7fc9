"""
System checks: of settings and models, and of what the network says if `check --deploy` asks it.

Only `apps.py` imports it. Begin with `options.py`; `found.py` finds the storages that the others
check. Each message has an id that stays the same, a hint that is an instruction, and the storage as
its `obj`.
"""
