"""
The statuses with which verbs end, for cron and scripts.

0: all is well. 1: something failed; standard error says why. 2: the command line is wrong. Others:
"""

NOT_HEALTHY = 3
"""Every file can be read; some shares are missing, or something else needs repair."""
LOST = 4
"""Something cannot be read, or could not be checked."""
