"""Numbers of a run, told to an experiment tracker while it goes on: `clara-bench run --log NAME`.

A tracker is a component of the entry-point group `clara_bench.trackers`; none is needed to run anything.
"""
