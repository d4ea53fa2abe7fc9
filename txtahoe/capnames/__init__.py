"""
Names that carry a file's cap, and the links that keep such files in a tree.

Django's side imports it. Begin with `names.py`; `anchors.py` makes the links.
"""
