"""
The contents of the admin's page "Tahoe grid": texts, and the positions in its drawings.

`admin.py` and the template tags import it. Begin with `overview.py`. `pictures.py` places what the
page draws; the HTML and SVG are in `templates/admin/tahoestorage`, the colours in `static`.
"""
