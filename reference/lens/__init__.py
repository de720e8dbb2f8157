"""Looking into a model: memories decoded into words, and what estimators' gradients say of other documents.

In: a checkpoint and questions. Out: tables with controls or exact values beside each number; a picture of the words.
"""
