"""What can be said of numbers: intervals of means, and tests of differences between two runs.

In: one number a question. Out: 95 % intervals and p-values, computed without drawing: the same numbers always give the
same verdict. docs/statistics.md says how often they are right.
"""
