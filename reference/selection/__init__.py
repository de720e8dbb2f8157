"""Selection: of documents, by similarity of memories and differentiable top-k; of a document's telling words.

In: query vectors and memory vectors. Out: scores, the k chosen documents, and gradients for the query.
Estimators: those that topk.py lists; gates on attention, for documents that all stand in the prompt, in gates.py.
"""
