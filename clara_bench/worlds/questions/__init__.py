"""Questions over a synthetic world: planned as hops over entities, then put into words.

In: an encyclopaedia. Out: questions with gold answers, gold passages and candidates.
"""
