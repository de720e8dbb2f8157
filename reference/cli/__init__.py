"""clara-reference: train CLaRa, encode documents, inspect memories.

Each command parses, calls the library and prints. Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import click

from clara_bench import __version__
from clara_bench.cli import Commands
from reference.cli.looking import gradients, lens
from reference.cli.rows import rows, synthesize, teach
from reference.cli.training import plan, retriever, sweep, train
from reference.cli.weights import adapter, encode, export, import_, import_naver, merge


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="clara-reference")
@click.option("--local_rank", hidden=True, type=int, help="Added by the deepspeed launcher.")
def main(local_rank: int | None) -> None:
    """Train CLaRa, encode documents with it, and inspect its memories.

    \b
    Start here:
      clara-reference train debug --stage text --out runs/debug/text     one training stage, in seconds
      clara-reference plan mistral-7b --gpus 8                           memory and time of the stages
    """


for command in (
    train, sweep, retriever, rows, encode, merge, gradients, lens, synthesize, teach, export, adapter, import_,
    import_naver, plan,
):  # fmt: skip
    main.add_command(command)
