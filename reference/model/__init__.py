"""The CLaRa model: one backbone under three roles (compressor, reasoner, generator).

In: token ids of documents and questions. Out: memory vectors, query vectors, next-token logits, answers.
Start with clara.py; passes.py is one forward pass, prompts.py is what the generator is given to read.
"""
