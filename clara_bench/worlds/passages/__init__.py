"""Passages: the facts of an entity, put into words.

In: facts. Out: sentences, and which of them states what.
"""
