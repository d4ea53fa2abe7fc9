"""
Caps taken out of what other people see: texts, and Django's reports of errors.

Everything above may import it. Begin with `text.py`.
"""

from tahoestorage.redaction.text import redact, redacted

__all__ = ["redact", "redacted"]
