"""Running one system on one task, and suites of such runs.

In: a run's configuration. Out: a folder of records, which a second start continues.
"""
