"""Systems and readers for the harness: `-s clara`, `-s tiny-text`, `-s xrag`, and the readers `tiny` and `tuned`.

In: questions and candidates of the harness. Out: answers with what they cost, as the harness counts it.
"""
