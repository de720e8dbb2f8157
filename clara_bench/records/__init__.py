"""A run on disk: its manifest and its records, one answer a line, checked when written and when read.

In: answers. Out: a folder that survives a kill, and the same answers read back.
"""
