"""
System checks: of settings and models, and of what the network says where that is asked for.

Only `apps.py` imports it. Begin with `storages.py`.
"""
