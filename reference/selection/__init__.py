"""Document selection: similarity of memories, and differentiable top-k.

In: query vectors and memory vectors. Out: scores, the k chosen documents, and gradients for the query.
Estimators: straight-through, gates on attention, and the others that topk.py lists.
"""
