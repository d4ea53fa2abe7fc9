"""
Files by name over HTTP: the view behind `tahoestorage.urls`.

`urls.py` and the checks import it. Begin with `views.py`. The Range header is parsed in
`txtahoe.api.ranges`, for Django and Twisted alike; `ranges.py` here adds If-Range.
"""
