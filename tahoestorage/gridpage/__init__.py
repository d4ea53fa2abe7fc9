"""
What the admin's page "Tahoe grid" says and draws, without HTML.

`admin.py` and the template tags import it. Begin with `overview.py`.
"""
