"""Running a stage: the loop, DeepSpeed, resumption after a kill, evaluation while it trains, and `plan`.

In: a stage's name and config. Out: a folder with the last and the best checkpoint, and a log.
"""
