"""Tasks: questions with gold answers, their data sources, and the candidates of each question.

In: a task file and `--data`. Out: questions, a corpus, and candidates that are frozen and the same for every system.
"""
