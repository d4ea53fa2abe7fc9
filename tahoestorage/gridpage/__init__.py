"""
The contents of the admin's page "Tahoe grid": texts and drawings, without HTML.

`admin.py` and the template tags import it. Begin with `overview.py`.
"""
