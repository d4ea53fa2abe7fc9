"""Verbs that look after whole storages: health, leases, snapshots, large directories."""
