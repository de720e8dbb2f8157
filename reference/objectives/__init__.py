"""Training objectives: the stages and their losses.

In: rows. Out: one loss per stage with its parts, and the set of trainable weights.
"""
