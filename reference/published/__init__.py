"""Published weights, converted to our models: Apple's CLaRa, naver's PISCO and COCOM, xRAG.

In: a downloaded folder. Out: a checkpoint of this package (convert.py), or xRAG's network (xrag.py).
"""
