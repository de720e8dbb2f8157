"""The commands that read runs closely. Each parses, calls `clara_bench.analysis` and prints."""
