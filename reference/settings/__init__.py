"""Settings: TOML configs, their `--set` overrides, and the configs and weights that ship.

In: a config's name or path. Out: frozen dataclasses whose every key is known and typed.
Everything else in the reference imports this package; it imports nothing of the reference.
"""
