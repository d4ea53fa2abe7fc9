"""
The test suites of Django and of libraries that keep files, run with this storage.

    python -m tests.suites [NAME …] [--folder FOLDER]

`table` says which suites there are, and where they may differ. What runs in their processes is in
`inside`.
"""
