"""
Large directories: their names are spread over parts, while any number of processes use them.

`commits.py` and `lookup.py` of `txtahoe.tree` import this, and so does `txtahoe.maintenance`. Begin
with PROTOCOL.md, then `states.py`.

    states    what a process may do with a directory, as a table
    format    what stands on the grid: names, parts, marks
    memory    what this process remembers of directories
    building  new directories and parts, and the steps from open to closed
    changing  links and unlinks names where they belong
"""
