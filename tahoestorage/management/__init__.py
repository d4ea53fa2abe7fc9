"""
`manage.py tahoe`: its verbs, and how they read their arguments and print their results.

Nothing imports it. Begin with `commands/tahoe.py`, then a module of `verbs`.
"""
