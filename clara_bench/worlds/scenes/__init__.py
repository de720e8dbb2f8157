"""Scenes: passages that are read together and questions about all of them, as an endless stream for training.

In: a config. Out: scenes by number.
"""
