"""The code that runs in the processes of the suites, linked there as the package `tahoe_suites`."""
