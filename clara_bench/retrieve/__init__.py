"""Retrievers: passages ranked for questions."""
