"""The cost of the storage, beside the fewest bare requests that do the same; see `__main__`."""
