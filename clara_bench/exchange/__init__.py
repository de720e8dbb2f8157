"""Numbers and records that go between this harness and others.

In: tables that others published. Out: runs as TREC files, as tables of records, and as files of shared leaderboards.
"""
