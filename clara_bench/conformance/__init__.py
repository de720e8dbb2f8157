"""Conformance of inference engines: whether one reads memories as given, and never another prompt's in their place.

In: an engine that reads token ids and embeddings. Out: checks with their numbers.
"""
