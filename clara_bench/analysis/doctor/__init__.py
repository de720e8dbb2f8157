"""What is likely wrong with runs and tasks.

In: questions, answers and, where they are at hand, passages. Out: findings, each with what it is, where and what to do.
"""
