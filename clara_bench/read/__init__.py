"""Readers: language models that answer from text."""
