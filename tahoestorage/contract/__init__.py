"""
What Django's storage API asks for, written once for callers that block and for those that await.

The storage classes import it. Begin with `operations.py`.
"""
