"""Whole systems, from a question to an answer."""
