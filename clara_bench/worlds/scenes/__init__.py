"""Scenes: passages that are read together and questions over all of them, without end, to train on.

In: a config. Out: scenes by number.
"""
