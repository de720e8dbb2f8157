"""Components (systems, retrievers, compressors, readers): found by name, built, identified, checked.

In: a name or a plug-in file, and options. Out: a built component, and the identity that names runs and cache entries.
"""
