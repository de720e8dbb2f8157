"""What several text compressors share: sentences and spans, budgets, surprisal, token classifiers and their training.

In: passages and questions. Out: pieces with weights, and the text that a budget leaves.
"""
