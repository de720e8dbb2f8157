"""Memories of documents on disk: compressed once, looked up by text, searched by vector.

In: memory vectors by document. Out: shards of a store, and the nearest documents of a query.
"""
