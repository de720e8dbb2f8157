"""Sweeps: trainings that differ in estimator, stage, rate and seed, from one start and over the same rows.

In: the table `[sweep]` of a config. Out: a folder of runs, and the table that their logs give.
"""
