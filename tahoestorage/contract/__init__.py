"""
Django's storage API, written once for callers that block and for callers that await.

The storage classes import it. Begin with `operations.py`.
"""
