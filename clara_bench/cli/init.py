"""clara-bench init: a task file for your own documents and questions."""

from __future__ import annotations

from pathlib import Path

import click

from clara_bench.cli.options import pairs
from clara_bench.io.terminal import say

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("folder", type=PATH)
@click.option("--questions", type=PATH, metavar="FILE",
              help="CSV, TSV, xlsx, parquet or jsonl. Default: the only such file in FOLDER.")  # fmt: skip
@click.option("--chunk", multiple=True, metavar="KEY=VALUE",
              help="How documents are cut: tokens=200, overlap=40, tokenizer=MODEL.")  # fmt: skip
def init(folder: Path, questions: Path | None, chunk: tuple[str, ...]) -> None:
    """Write a task for a folder of documents and questions.

    The task is FOLDER/task.toml. Documents are Markdown, text, HTML and PDF files, also in subfolders. A question only
    needs its text; with answers it is scored. docs/quickstart.md shows the next steps.

    \b
    Examples:
      clara-bench init handbook
      clara-bench init handbook --questions questions.xlsx --chunk tokens=120 --chunk overlap=20
    """
    from clara_bench.tasks import own_documents

    written = own_documents.write(folder, questions, pairs(chunk, "--chunk"))
    asked = len(written.data.examples)
    say(f"{written.path}: {asked} questions, {written.answered} of them with answers")
    say(f"{written.documents} documents in {len(written.data.corpus)} passages")
    say(f"Next: clara-bench run -t {written.path} -s rag")
