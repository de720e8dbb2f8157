"""Recipes of training rows that ship."""
