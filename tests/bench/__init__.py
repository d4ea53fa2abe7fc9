"""What the storage costs, beside the fewest requests that do the same; see `__main__`."""
