"""Weights on disk: checkpoints, exports, PEFT adapters, and the weights that a stage starts from.

In: a model, or a folder. Out: safetensors files with a manifest of checksums, or a model.
"""
