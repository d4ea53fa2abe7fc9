"""
Files by name over HTTP: the view behind `tahoestorage.urls`.

`urls.py` and the checks import it. Begin with `views.py`. `txtahoe.api.ranges` parses the Range
header, for Django and Twisted alike.
"""
