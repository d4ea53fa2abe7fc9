"""What `manage.py` can do with a storage."""
