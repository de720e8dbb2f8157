"""What is true in a synthetic world: entities with names, relations between them, and every fact.

In: a config and a seed. Out: an encyclopaedia in columns, the same on every machine.
"""
