"""The logit lens on memories: which words each memory vector decodes to, compared with chance.

In: a checkpoint and documents. Out: a report with controls.
"""
