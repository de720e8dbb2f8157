"""What a stage of training learns from a batch: the stages and their losses.

In: rows. Out: one loss per stage, with the parts that it is made of, and which weights may move.
"""
