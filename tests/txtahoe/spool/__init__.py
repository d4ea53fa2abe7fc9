"""Tests of the spool: its journal and files, and what brings them to the grid."""
