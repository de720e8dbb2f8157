"""Inference engines in this process: the reader `vllm`, and what reads embeddings with it.

In: token ids or embeddings. Out: greedy continuations, with the engine's own token counts.
"""
