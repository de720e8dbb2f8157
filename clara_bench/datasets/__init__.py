"""Readers of the official raw files."""
