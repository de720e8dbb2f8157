"""`python -m reference`, which is what `torchrun -m reference` and `deepspeed --module reference` start."""

from reference.cli import main

main(prog_name="clara-reference")
