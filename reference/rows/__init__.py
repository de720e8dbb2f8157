"""Training rows for a reader of real text, made from training questions and from passages themselves.

In: official training files, topic lists and plain Wikipedia text, named by a recipe (recipes/*.toml). Out: a JSONL file
of one question a line with the passages to read, and beside it what it was made from and how many of each.
"""
