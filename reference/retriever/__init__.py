"""A dense text retriever trained on the rows of CLaRa's reasoner: what a comparison with it has to hold up against.

`examples` makes contrastive examples from a stage's rows, `encoders` is what training starts from, `training`
trains by the trainer of sentence-transformers.
"""
