"""Shards: a run in parts, each a run folder that any machine may fill, and the merge that makes them one run again."""
