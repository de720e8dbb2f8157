"""Metrics of plug-ins over runs, and verdicts of judges: asked once, kept in a file beside the records.

In: metrics, questions, answers, and a file of verdicts. Out: metrics that can be measured, and more verdicts.
"""

from clara_bench.judging.binding import bound
from clara_bench.judging.verdicts import FILE

__all__ = ["FILE", "bound"]
