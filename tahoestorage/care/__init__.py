"""
Whole storages: what is in them, what the database refers to, and copies from and to others.

The commands, the checks and the admin's page import it. Begin with `wholetree.py`.
"""
