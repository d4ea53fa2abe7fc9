"""
How verbs end, for cron and scripts.

With 0 where all is well; with 1 where something could not be done, and why is on stderr; with 2
where the command line is wrong; with one of these where that was found:
"""

NOT_HEALTHY = 3
"""Everything can be read; something misses shares, or is not as it should be."""
LOST = 4
"""Something can't be read, or could not be looked at."""
