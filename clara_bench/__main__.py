"""`python -m clara_bench` is `clara-bench`."""

from clara_bench.cli import main

main(prog_name="clara-bench")
