"""Readers of the official raw files."""

from clara_bench.datasets.base import Dataset
from clara_bench.datasets.files import read_aliases, read_corpus, read_rows
from clara_bench.datasets.reading import read

__all__ = ["Dataset", "read", "read_aliases", "read_corpus", "read_rows"]
