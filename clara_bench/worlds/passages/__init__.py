"""How the facts of an entity become its passage.

In: facts. Out: sentences, and which of them states what.
"""
