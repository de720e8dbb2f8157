"""What runs say when read closely.

In: scored runs, their manifests and records. Out: findings as plain values, which the commands print.
"""
