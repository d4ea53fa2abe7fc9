"""
The manual does what it says: its programs run, its commands exist, its links lead somewhere.

`pages` finds the blocks, `site` makes a Django site of them, and `commands` runs the rest. How to
write a block is told in `pages`.
"""
