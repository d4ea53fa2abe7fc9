"""
`tahoe`, but leases may expire after seconds. To be run as a program, never imported.

Tahoe's settings count leases in days, months and years. Its lease checker begins six minutes after
the start of a server and comes again twelve hours later, which no setting changes. Here the setting
`expire.override_lease_duration` is in seconds, and the checker comes every second. All else is
Tahoe's own.
"""

from allmydata import client
from allmydata.scripts.runner import run
from allmydata.storage.expirer import LeaseCheckingCrawler

client.parse_duration = int
LeaseCheckingCrawler.slow_start = LeaseCheckingCrawler.minimum_cycle_time = 1

run()
