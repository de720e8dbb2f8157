"""`python -m reference`, which is what `torchrun -m reference` and `deepspeed --module reference` start."""

from __future__ import annotations

from clara_bench.__main__ import main as start


def main() -> None:
    """Import the command line and run it."""
    start("reference.cli", "clara-reference")


if __name__ == "__main__":
    main()
