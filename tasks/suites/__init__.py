"""Suites: which tasks, settings and systems run together."""
