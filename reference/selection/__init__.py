"""Which of N documents are read: similarity of memories, and top-k through which a loss can teach.

In: query vectors and memory vectors. Out: scores, the k chosen documents, and gradients for the query.
Estimators: straight-through, gates on attention, and the others that topk.py lists.
"""
