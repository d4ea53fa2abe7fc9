"""`manage.py tahoe`."""
