"""The logit lens on memories: which words each memory vector stands for, and whether that is chance.

In: a checkpoint and documents. Out: a report with controls.
"""
