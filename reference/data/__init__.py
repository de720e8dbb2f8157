"""Training rows: what a row holds, the files and synthetic worlds that rows come from, and their order.

In: a config's `[data.*]` table. Out: rows of documents with questions and answers, by step and process.
"""
