"""Tasks: questions with gold answers, where their data come from, and which passages each question may use.

In: a task file and `--data`. Out: questions, a corpus, and candidates frozen for every system alike.
"""
