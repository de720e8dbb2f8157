"""Passages' keys and values, made once and read many times.

In: memories of passages. Out: the predictions of a frozen generator with block attention, equal to `Clara.read`'s.
"""
