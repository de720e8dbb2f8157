"""Metrics as named values."""
